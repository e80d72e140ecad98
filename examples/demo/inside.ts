/** The "inside" panel: maps of the model over the frame, and the time of each operation. */
import { paint, RAMP } from './heat.ts'
import type { Look, Reply, Request } from './messages.ts'
import { element } from './text.ts'
import { percent } from './words.ts'

const WORDS: Readonly<Record<Look['view'], string>> = {
  attention:
    'Space: the attention of the class token in this frame. ' +
    'The brighter a patch, the more it counts for the answer.',
  decay:
    'Time: how much each patch keeps from the frame before. A bright patch keeps its state; ' +
    'a dark one is updated.',
}

export class Inside {
  /** The map on the page; read by tests. */
  map: Extract<Reply, { type: 'map' }> | null = null
  readonly #send: (request: Request) => void
  readonly #changed: () => void
  readonly #picture: HTMLCanvasElement
  readonly #overlay = element<HTMLCanvasElement>('overlay')
  readonly #form = element<HTMLFormElement>('look')
  readonly #toggle = element<HTMLButtonElement>('attention')
  #isOn: boolean
  #isOpen = false
  /** Layer and head of a link, until a model is loaded. */
  #wanted: { readonly layer: string | null; readonly head: string | null } | undefined

  /** @param changed called after a choice */
  constructor(
    send: (request: Request) => void,
    changed: () => void,
    picture: HTMLCanvasElement,
    link: URLSearchParams,
  ) {
    this.#send = send
    this.#changed = changed
    this.#picture = picture
    this.#isOn = link.get('overlay') !== 'off'
    if (link.get('view') === 'decay') this.#form['view'].value = 'decay'
    this.#wanted = { layer: link.get('layer'), head: link.get('head') }
    this.#form.onsubmit = (event) => event.preventDefault()
    this.#form.onchange = ({ target }) => {
      if ((target as HTMLInputElement).name !== 'opacity') this.#choose()
    }
    this.#form['opacity'].oninput = () => this.#draw()
    this.#toggle.onclick = () => {
      this.#isOn = !this.#isOn
      this.#choose()
    }
    element('measure').onclick = () => send({ type: 'profile' })
    element('ramp').style.background =
      `linear-gradient(to right, ${RAMP.map(([r, g, b]) => `rgb(${r} ${g} ${b})`)})`
  }

  /** Fields of the panel for a link. */
  get link(): Readonly<Record<string, string | null>> {
    const { view, layer, head } = this.#look
    return {
      overlay: this.#isOn ? null : 'off',
      view: view === 'attention' ? null : view,
      layer: layer === this.#form['layer'].length - 1 ? null : String(layer + 1),
      head: head === null ? null : String(head + 1),
    }
  }

  /** Called when the panel opens or closes. */
  open(isOpen: boolean): void {
    if (isOpen && !this.#isOpen) this.#send({ type: 'profile' })
    this.#isOpen = isOpen
  }

  /** Called for another model: sets the numbers of layers and heads. */
  fit(layers: number, heads: number): void {
    const { layer, head } = this.#form as unknown as Record<string, HTMLSelectElement>
    if (layer!.length === layers && head!.length === heads + 1) return
    const numbers = (count: number): HTMLOptionElement[] =>
      Array.from({ length: count }, (_, index) => new Option(String(index + 1), String(index)))
    layer!.replaceChildren(...numbers(layers))
    head!.replaceChildren(new Option('mean of all', ''), ...numbers(heads))
    layer!.selectedIndex = layers - 1
    const index = (wanted: string | null | undefined) => Number(wanted ?? 0)
    if (index(this.#wanted?.layer) <= layers && index(this.#wanted?.layer) > 0)
      layer!.selectedIndex = index(this.#wanted?.layer) - 1
    if (index(this.#wanted?.head) <= heads) head!.selectedIndex = index(this.#wanted?.head)
    this.#wanted = undefined
    this.#choose()
  }

  /** Called for another device: measured times are no longer valid. */
  changed(): void {
    if (this.#isOpen) this.#send({ type: 'profile' })
  }

  show(map: Extract<Reply, { type: 'map' }>): void {
    this.map = this.#isOn ? map : null
    this.#draw()
    element('least').textContent = percent(Math.min(...map.values))
    element('most').textContent = percent(Math.max(...map.values))
    element('scale').hidden = false
  }

  showProfile(ops: Extract<Reply, { type: 'profile' }>['ops']): void {
    const total = ops.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
    element('total').textContent = `One frame takes ${total.toFixed(2)} ms`
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

  get #look(): Look {
    const head = this.#form['head'].value as string
    return {
      view: this.#form['view'].value as Look['view'],
      layer: Number(this.#form['layer'].value),
      head: head === '' ? null : Number(head),
    }
  }

  #choose(): void {
    const look = this.#look
    element('words').textContent = WORDS[look.view]
    this.#form['head'].disabled = look.view !== 'attention'
    this.#toggle.setAttribute('aria-pressed', String(this.#isOn))
    element('overlayName').textContent = look.view === 'attention' ? 'Attention' : 'Memory'
    if (!this.#isOn) this.clear()
    this.#send({ type: 'look', look: this.#isOn ? look : null })
    this.#changed()
  }

  #draw(): void {
    paint(this.#overlay, this.#picture, this.map, Number(this.#form['opacity'].value))
  }
}
