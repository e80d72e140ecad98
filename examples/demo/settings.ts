/** The settings of the engine and of the view, in a form and in the address of the page. */
import type { Settings } from './messages.ts'
import { element } from './text.ts'

const form = element<HTMLFormElement>('settings')
const field = (name: string): HTMLInputElement => form.elements.namedItem(name) as HTMLInputElement

export function settingsNow(): Settings {
  return {
    device: field('device').value as Settings['device'],
    dtype: field('dtype').value as Settings['dtype'],
    threads: field('threads').validity.valid ? Number(field('threads').value) : 0,
    deterministic: field('deterministic').checked,
  }
}

/** Frames a second that are taken of a source; 0 is as many as it has. */
export const rateNow = (): number =>
  field('rate').validity.valid ? Number(field('rate').value) : 0

/** Shows the settings that hold. */
export function showSettings({ device, dtype, threads, deterministic }: Settings): void {
  field('device').value = device
  field('dtype').value = dtype
  field('threads').value = threads ? String(threads) : ''
  field('deterministic').checked = deterministic
}

/** @param changed is called with the name of what a person changed */
export function onSettings(changed: (name: string) => void): void {
  form.onsubmit = (event) => event.preventDefault()
  form.onchange = ({ target }) => changed((target as HTMLInputElement).name)
}

/** Fields that a link carries, with their values when it does not. */
const CARRIED = { device: 'auto', dtype: '', threads: '', rate: '', deterministic: 'false' }

const isBox = (one: HTMLInputElement): boolean => one.type === 'checkbox'

/** The address of this page with its settings. @param more what is not in this form */
export function linkOf(more: Readonly<Record<string, string | null>>): string {
  const link = new URL(location.pathname, location.href)
  for (const [name, plain] of Object.entries(CARRIED)) {
    const one = field(name)
    const value = isBox(one) ? String(one.checked) : one.value
    if (value !== plain) link.searchParams.set(name, value)
  }
  for (const [name, value] of Object.entries(more)) if (value) link.searchParams.set(name, value)
  return link.href
}

/** Puts the settings of a link into the form, as far as they are possible. */
export function takeLink(link: URLSearchParams): void {
  for (const name of Object.keys(CARRIED)) {
    const value = link.get(name)
    if (value === null) continue
    const one = field(name)
    const before = one.value
    if (isBox(one)) one.checked = value === 'true'
    else one.value = value
    // A list has no such entry, or a number is out of its range.
    if (!isBox(one) && (one.value !== value || !one.validity.valid)) one.value = before
  }
}
