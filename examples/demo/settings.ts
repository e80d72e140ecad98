/** Settings of the engine and of the view, in a form and in the address of the page. */
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

/** Frames that are sampled per second; 0 means all. */
export const rateNow = (): number =>
  field('rate').validity.valid ? Number(field('rate').value) : 0

/** Shows the settings in effect. */
export function showSettings({ device, dtype, threads, deterministic }: Settings): void {
  field('device').value = device
  field('dtype').value = dtype
  field('threads').value = threads ? String(threads) : ''
  field('deterministic').checked = deterministic
}

/** @param changed called with the name of the changed field */
export function onSettings(changed: (name: string) => void): void {
  form.onsubmit = (event) => event.preventDefault()
  form.onchange = ({ target }) => changed((target as HTMLInputElement).name)
}

/** Fields in a link, with their defaults. */
const CARRIED = { device: 'auto', dtype: '', threads: '', rate: '', deterministic: 'false' }

const isBox = (one: HTMLInputElement): boolean => one.type === 'checkbox'

/**
 * Returns the address of this page with its settings. @param more fields that are not in this form
 */
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

/** Writes the settings of a link to the form, if they are valid. */
export function takeLink(link: URLSearchParams): void {
  for (const name of Object.keys(CARRIED)) {
    const value = link.get(name)
    if (value === null) continue
    const one = field(name)
    const before = one.value
    if (isBox(one)) one.checked = value === 'true'
    else one.value = value
    // The list has no such entry, or the number is out of range.
    if (!isBox(one) && (one.value !== value || !one.validity.valid)) one.value = before
  }
}
