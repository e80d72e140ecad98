/** Step 2: the button that learns, its progress and the result. */
import { element } from '../demo/text.ts'
import { counted } from './cards.ts'
import { type ActionView, FEWEST, type LearntView, type Reply, type Request } from './messages.ts'

export class Learning {
  readonly #start = element<HTMLButtonElement>('start')
  readonly #losses: number[] = []
  readonly #accuracies: number[] = []
  #isReady = false
  #isLearning = false
  #actions: readonly ActionView[] = []
  #learnt: LearntView | null = null

  constructor(send: (request: Request) => void) {
    this.#start.onclick = () => {
      this.begin()
      send({ type: 'learn' })
    }
    element('download').onclick = () => send({ type: 'download' })
  }

  /** Called when the encoder is there. */
  ready(): void {
    this.#isReady = true
    this.#update()
  }

  show(actions: readonly ActionView[], learnt: LearntView | null): void {
    this.#actions = actions
    this.#learnt = learnt
    this.#update()
  }

  begin(): void {
    this.#losses.length = this.#accuracies.length = 0
    this.#isLearning = true
    this.#update()
  }

  follow({ epoch, epochs, loss, accuracy }: Extract<Reply, { type: 'learning' }>): void {
    if (epoch === 1) this.begin()
    this.#losses.push(loss)
    if (accuracy !== null) this.#accuracies.push(accuracy)
    element<HTMLProgressElement>('epochs').value = epoch / epochs
    const top = Math.max(...this.#losses)
    draw(
      'lossLine',
      this.#losses.map((one) => one / top),
      epochs,
    )
    draw('accuracyLine', this.#accuracies, epochs)
    element('lossNow').textContent = loss.toFixed(2)
    element('accuracyKey').hidden = accuracy === null
    if (accuracy !== null) element('heldNow').textContent = `${Math.round(100 * accuracy)} %`
    element('curve').hidden = false
  }

  end(seconds: number | null): void {
    this.#isLearning = false
    this.#update()
    if (seconds !== null) element('ready').textContent = `Learned in ${seconds.toFixed(1)} s.`
  }

  #update(): void {
    const recorded = this.#actions.filter(({ recordings }) => recordings.length > 0)
    const isEnough = recorded.length >= FEWEST
    this.#start.disabled = !this.#isReady || !isEnough || this.#isLearning
    this.#start.textContent = this.#learnt ? 'Learn again' : 'Learn'
    this.#start.classList.toggle('main', !this.#learnt)
    element('epochs').hidden = !this.#isLearning
    element('keep').hidden = element('result').hidden = !this.#learnt || this.#isLearning
    if (!this.#learnt && !this.#isLearning) element('curve').hidden = true
    element('ready').textContent = this.#sentence(recorded)
    if (this.#learnt) this.#showResult(this.#learnt)
  }

  #sentence(recorded: readonly ActionView[]): string {
    if (!this.#isReady) return 'Loading the encoder …'
    if (this.#isLearning) return 'Learning …'
    if (this.#learnt) return `It knows ${counted(this.#learnt.actions.length, 'action')}.`
    if (recorded.length === 0) return `Record at least ${FEWEST} actions first.`
    if (recorded.length < FEWEST) return 'Record one more action.'
    const seconds = recorded
      .flatMap(({ recordings }) => recordings)
      .reduce((sum, one) => sum + one.seconds, 0)
    return `Ready: ${counted(recorded.length, 'action')}, ${seconds.toFixed(0)} s.`
  }

  #showResult({ heldOut, right, confused }: LearntView): void {
    const labelOf = (id: number): string =>
      this.#actions.find((action) => action.id === id)?.label ?? 'a removed action'
    element('accuracy').hidden = heldOut === 0
    element('accuracy').textContent = `${Math.round((100 * right) / heldOut)} %`
    element('accuracyText').textContent =
      heldOut === 0
        ? 'The recordings are too short to hold some out. Record more to see an accuracy.'
        : `right of ${heldOut} clips that it did not learn from, the ends of the recordings.${
            confused
              ? ` Most errors: “${labelOf(confused[0])}” is taken for “${labelOf(confused[1])}”. ` +
                'Record both again.'
              : ''
          }`
  }
}

function draw(id: string, values: readonly number[], epochs: number): void {
  const points = values.map(
    (value, index) =>
      `${((100 * index) / (epochs - 1)).toFixed(1)},${(38 - 36 * value).toFixed(1)}`,
  )
  element(id).setAttribute('points', points.join(' '))
}
