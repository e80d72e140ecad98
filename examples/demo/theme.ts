/** Light and dark: as the system has it, until the button says otherwise. */
import { element } from './text.ts'

/** @param changed is called now, too */
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
