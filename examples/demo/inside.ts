/**
 * A look inside: what the model does with the frame on the page, laid over it, and where its time
 * goes.
 */
import { paint, RAMP } from './heat.ts'
import type { Look, Reply, Request } from './messages.ts'
import { element, percent } from './text.ts'

const WORDS: Readonly<Record<Look['view'], string>> = {
  attention:
    'Space: where the class token looks in this frame. ' +
    'Attention is shared out over all patches, so a bright place is one that counts for the ' +
    'answer.',
  decay:
    'Time: how much each patch keeps from the frame before. A bright place remembers; ' +
    'a dark one lets go, and takes in what is new.',
}

export class Inside {
  /** The map that is shown: what tests look at. */
  map: Extract<Reply, { type: 'map' }> | null = null
  readonly #ask: (request: Request) => void
  readonly #picture: HTMLCanvasElement
  readonly #panel = element<HTMLDetailsElement>('inside')
  readonly #overlay = element<HTMLCanvasElement>('overlay')
  readonly #form = element<HTMLFormElement>('look')

  constructor(ask: (request: Request) => void, picture: HTMLCanvasElement) {
    this.#ask = ask
    this.#picture = picture
    this.#panel.ontoggle = () => this.#choose(true)
    this.#form.onsubmit = (event) => event.preventDefault()
    this.#form.onchange = ({ target }) => {
      if ((target as HTMLInputElement).name !== 'opacity') this.#choose()
    }
    this.#form['opacity'].oninput = () => this.#draw()
    element('measure').onclick = () => ask({ type: 'profile' })
    element('ramp').style.background =
      `linear-gradient(to right, ${RAMP.map(([r, g, b]) => `rgb(${r} ${g} ${b})`)})`
  }

  /** Another model: as many layers and heads. */
  fit(layers: number, heads: number): void {
    if (this.#form['layer'].length === layers && this.#form['head'].length === heads + 1) return
    const numbers = (count: number): HTMLOptionElement[] =>
      Array.from({ length: count }, (_, index) => new Option(String(index + 1), String(index)))
    this.#form['layer'].replaceChildren(...numbers(layers))
    this.#form['layer'].value = String(layers - 1)
    this.#form['head'].replaceChildren(new Option('mean of all', ''), ...numbers(heads))
    this.#choose()
  }

  /** Another device: times are no longer true. */
  changed(): void {
    if (this.#panel.open) this.#ask({ type: 'profile' })
  }

  show(map: Extract<Reply, { type: 'map' }>): void {
    this.map = this.#panel.open ? map : null
    this.#draw()
    const [least, most] = [Math.min(...map.values), Math.max(...map.values)]
    element('least').textContent = percent(least)
    element('most').textContent = percent(most)
  }

  showProfile(ops: Extract<Reply, { type: 'profile' }>['ops']): void {
    const total = ops.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
    element('total').textContent = `One frame, step by step: ${total.toFixed(2)} ms`
    element('ops').replaceChildren(
      ...ops.map(({ op, milliseconds }) => {
        const row = document.createElement('li')
        row.style.setProperty('--share', (milliseconds / ops[0]!.milliseconds).toFixed(3))
        const [name, bar, time] = ['span', 'i', 'span'].map((tag) =>
          document.createElement(tag),
        ) as [HTMLElement, HTMLElement, HTMLElement]
        name.textContent = op
        time.textContent = `${milliseconds.toFixed(2)} ms · ${percent(milliseconds / total)}`
        row.append(name, bar, time)
        return row
      }),
    )
  }

  clear(): void {
    this.map = null
    this.#draw()
  }

  #choose(opened = false): void {
    const { open } = this.#panel
    const view = this.#form['view'].value as Look['view']
    const head = this.#form['head'].value as string
    element('words').textContent = WORDS[view]
    this.#form['head'].disabled = view !== 'attention'
    if (!open) this.clear()
    this.#ask({
      type: 'look',
      look: open
        ? {
            view,
            layer: Number(this.#form['layer'].value),
            head: head === '' ? null : Number(head),
          }
        : null,
    })
    if (open && opened) this.#ask({ type: 'profile' })
  }

  #draw(): void {
    paint(this.#overlay, this.#picture, this.map, Number(this.#form['opacity'].value))
  }
}
