/** Elements of the page, and messages to the user. */
export function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

/** Milliseconds that a message is visible. */
const STAY = 12_000

const box = element('messageBox')
let fading: ReturnType<typeof setTimeout> | undefined

/** Shows a message. Errors stay until the next message. */
export function showMessage(text: string, bad = false): void {
  element('message').textContent = text
  box.className = bad ? 'bad' : ''
  box.hidden = false
  clearTimeout(fading)
  if (!bad) fading = setTimeout(hideMessage, STAY)
}

export function hideMessage(): void {
  box.hidden = true
}
element('closeMessage').onclick = hideMessage
