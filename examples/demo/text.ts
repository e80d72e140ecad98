/** Elements of the page, and sentences to the person. */
export function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

/** Milliseconds that a note stays. */
const STAY = 12_000

const box = element('messageBox')
let fading: ReturnType<typeof setTimeout> | undefined

/** A sentence to the person; what went wrong stays until something else is done. */
export function tell(text: string, bad = false): void {
  element('message').textContent = text
  box.className = bad ? 'bad' : ''
  box.hidden = false
  clearTimeout(fading)
  if (!bad) fading = setTimeout(hush, STAY)
}

export function hush(): void {
  box.hidden = true
}
element('hush').onclick = hush
