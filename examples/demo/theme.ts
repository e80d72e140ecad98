/** Light or dark theme: that of the system, until the button is used. */
import { element } from './text.ts'

/** @param changed called after a change, also at once */
export function followTheme(changed = (): void => {}): void {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const colour = (isDark: boolean): void => {
    document.documentElement.dataset['theme'] = isDark ? 'dark' : 'light'
    changed()
  }
  dark.onchange = () => colour(dark.matches)
  element('theme').onclick = () => colour(document.documentElement.dataset['theme'] !== 'dark')
  colour(dark.matches)
}
