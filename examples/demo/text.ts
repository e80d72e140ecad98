/** Words on the page. */
import type { Class } from 'trecvit'

export function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

export const nameOf = ({ label, index }: Class): string => label ?? `class ${index}`
export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
export const megabytes = (bytes: number): string =>
  `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`

/** Milliseconds that a note stays. */
const STAY = 12_000

const message = element('message')
let fading: ReturnType<typeof setTimeout> | undefined

/** A sentence to the person; what went wrong stays until something else is done. */
export function tell(text: string, bad = false): void {
  message.textContent = text
  message.className = bad ? 'bad' : ''
  message.hidden = false
  clearTimeout(fading)
  if (!bad) fading = setTimeout(hush, STAY)
}

export function hush(): void {
  message.hidden = true
}
