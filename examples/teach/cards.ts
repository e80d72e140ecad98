/** Step 1: a card for each action, with its name and recordings. */
import { element } from '../demo/text.ts'
import { paint } from './colours.ts'
import { type ActionView, FEWEST, MOST, type Request } from './messages.ts'

/** Names that are suggested, in the order of the cards. */
const SUGGESTED = ['hold still', 'wave', 'nod', 'turn around']

/** What the cards ask of the page. */
interface Asks {
  readonly send: (request: Request) => void
  /** Records by camera, or cancels that. */
  readonly record: (action: ActionView) => void
  readonly clips: (action: number, files: readonly File[]) => void
  /** Asks before recordings are removed. */
  readonly confirm: (question: string, yes: string) => Promise<boolean>
}

interface Card {
  readonly root: HTMLElement
  view: ActionView
  readonly shots: Map<number, HTMLElement>
}

export class Cards {
  readonly #asks: Asks
  readonly #cards = new Map<number, Card>()
  readonly #add = element<HTMLButtonElement>('add')
  #recording: number | null = null
  #isReady = false

  constructor(asks: Asks) {
    this.#asks = asks
    this.#add.onclick = () => asks.send({ type: 'addAction' })
  }

  /** Called when the encoder is there: recordings can be made. */
  ready(): void {
    this.#isReady = true
    this.#update()
  }

  show(actions: readonly ActionView[]): void {
    for (const [id, { root, shots }] of this.#cards)
      if (!actions.some((action) => action.id === id)) {
        for (const shot of shots.values()) release(shot)
        root.remove()
        this.#cards.delete(id)
      }
    const isNew = this.#cards.size > 0
    for (const [index, view] of actions.entries()) {
      let card = this.#cards.get(view.id)
      if (!card) {
        card = this.#make(view, index)
        this.#cards.set(view.id, card)
        element('actions').append(card.root)
        if (isNew) part<HTMLInputElement>(card.root, '.name').focus()
      }
      card.view = view
      this.#fill(card, index, actions.length)
    }
    this.#add.hidden = actions.length >= MOST
    this.#update()
  }

  /** Marks the action that is being recorded, or none. */
  mark(action: number | null): void {
    this.#recording = action
    this.#update()
  }

  /** Shows what happens with an action. An empty text shows its recordings. */
  say(action: number, text: string): void {
    const card = this.#cards.get(action)
    if (card) part(card.root, '.state').textContent = text || stateOf(card.view)
  }

  /** Returns where the camera is shown while an action is recorded. */
  placeOf(action: number): HTMLElement {
    return part(this.#cards.get(action)!.root, '.place')
  }

  /** Returns the action of a card that an element is in. */
  actionAt(target: EventTarget | null): number | undefined {
    for (const [id, { root }] of this.#cards) if (root.contains(target as Node)) return id
    return undefined
  }

  #make(view: ActionView, index: number): Card {
    const template = element<HTMLTemplateElement>('card')
    const root = template.content.firstElementChild!.cloneNode(true) as HTMLElement
    const card: Card = { root, view, shots: new Map() }
    paint(root, index)
    const name = part<HTMLInputElement>(root, '.name')
    name.value = view.name
    name.placeholder = `Name, such as “${SUGGESTED[index] ?? 'jump'}”`
    name.oninput = () => this.#asks.send({ type: 'rename', action: view.id, name: name.value })
    name.onkeydown = ({ key }) => {
      if (key === 'Enter') name.blur()
    }
    part(root, '.remove').onclick = () => void this.#remove(card)
    part(root, '.rec').onclick = () => this.#asks.record(card.view)
    const input = part<HTMLInputElement>(root, 'input[type=file]')
    input.onchange = () => {
      this.#asks.clips(view.id, [...input.files!])
      // Allows the same files to be chosen again.
      input.value = ''
    }
    return card
  }

  #fill({ root, view, shots }: Card, index: number, count: number): void {
    const { label, recordings } = view
    paint(root, index)
    root.setAttribute('aria-label', label)
    part(root, '.name').setAttribute('aria-label', `Name of action ${index + 1}`)
    part(root, '.remove').setAttribute('aria-label', `Remove ${label}`)
    part(root, '.remove').hidden = count <= FEWEST && recordings.length === 0
    part(root, 'input[type=file]').setAttribute('aria-label', `Add clips of ${label}`)
    for (const [id, shot] of shots)
      if (!recordings.some((recording) => recording.id === id)) {
        release(shot)
        shot.remove()
        shots.delete(id)
      }
    for (const { id, seconds, picture } of recordings) {
      if (shots.has(id)) continue
      const shot = document.createElement('li')
      const img = new Image()
      img.src = URL.createObjectURL(picture)
      img.alt = `Recording of ${seconds.toFixed(1)} s`
      const remove = document.createElement('button')
      remove.type = 'button'
      remove.textContent = '✕'
      remove.setAttribute('aria-label', `Remove the recording of ${seconds.toFixed(1)} s`)
      remove.onclick = () =>
        this.#asks.send({ type: 'removeRecording', action: view.id, recording: id })
      shot.append(img, remove)
      shots.set(id, shot)
      part(root, '.shots').append(shot)
    }
    part(root, '.shots').hidden = recordings.length === 0
    if (this.#recording !== view.id) part(root, '.state').textContent = stateOf(view)
  }

  #update(): void {
    this.#add.disabled = !this.#isReady
    const next = [...this.#cards.values()].find(({ view }) => view.recordings.length === 0)
    for (const [id, { root, view }] of this.#cards) {
      const isThis = this.#recording === id
      const button = part<HTMLButtonElement>(root, '.rec')
      root.classList.toggle('recording', isThis)
      button.disabled = !this.#isReady || (this.#recording !== null && !isThis)
      const isNext = id === next?.view.id && this.#recording === null
      button.classList.toggle('main', isNext)
      part(button, 'span').textContent = isThis ? 'Cancel' : 'Record'
      button.setAttribute('aria-label', `${isThis ? 'Cancel recording' : 'Record'} ${view.label}`)
      part<HTMLInputElement>(root, 'input[type=file]').disabled = !this.#isReady
    }
  }

  async #remove({ view }: Card): Promise<void> {
    const { id, label, recordings } = view
    const question = `Remove “${label}” and its ${counted(recordings.length, 'recording')}?`
    if (recordings.length === 0 || (await this.#asks.confirm(question, 'Remove')))
      this.#asks.send({ type: 'removeAction', action: id })
  }
}

const part = <T extends HTMLElement>(root: HTMLElement, selector: string): T =>
  root.querySelector<T>(selector)!

const release = (shot: HTMLElement): void => URL.revokeObjectURL(shot.querySelector('img')!.src)

export const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? '' : 's'}`

function stateOf({ recordings }: ActionView): string {
  if (recordings.length === 0) return 'Record it by camera, or drop clips here.'
  const seconds = recordings.reduce((sum, recording) => sum + recording.seconds, 0)
  return `${counted(recordings.length, 'recording')}, ${seconds.toFixed(0)} s`
}
