/** The panel with highlighted code, and buttons to copy it. */
import { element, showMessage } from './text.ts'

const KINDS = [
  ['comment', /\/\/.*/],
  ['string', /'(?:\\.|[^'])*'/],
  ['keyword', /\b(?:import|from|const|await|for|of|if|continue|new|true)\b/],
  ['number', /\b\d+\b/],
] as const
const TOKEN = new RegExp(KINDS.map(([, { source }]) => `(${source})`).join('|'), 'g')

/** Shows the code with syntax highlighting. */
export function showCode(code: string): void {
  const nodes: Node[] = []
  let end = 0
  for (const match of code.matchAll(TOKEN)) {
    const kind = match.slice(1).findIndex((part) => part !== undefined)
    const token = document.createElement('span')
    token.className = KINDS[kind]![0]
    token.textContent = match[0]
    nodes.push(document.createTextNode(code.slice(end, match.index)), token)
    end = match.index + match[0].length
  }
  element('source').replaceChildren(...nodes, code.slice(end))
}

/** Copies text to the clipboard, and reports the result. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    showMessage(`${what} copied.`)
  } catch {
    showMessage(`This browser does not allow copying. ${what}: ${text}`)
  }
}
