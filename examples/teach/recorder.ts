/** The camera, and a recording by it with a countdown. The picture moves to the card meanwhile. */
import { Live } from '../demo/live.ts'
import { element, hideMessage, showMessage } from '../demo/text.ts'
import type { Answers } from './answers.ts'
import type { Cards } from './cards.ts'
import type { ActionView, Reply, Request } from './messages.ts'

/** Seconds to take position in. */
const COUNTDOWN = 2

type Send = (request: Request, transfer?: Transferable[]) => void

export class Recorder {
  readonly #send: Send
  readonly #cards: Cards
  readonly #answers: Answers
  readonly #live: Live
  /** Frames per second that are asked of the camera. */
  rate = 30
  readonly #button = element<HTMLButtonElement>('camera')
  #isOn = false
  #action: ActionView | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(send: Send, cards: Cards, answers: Answers) {
    this.#send = send
    this.#cards = cards
    this.#answers = answers
    this.#live = new Live(
      (frame, transfer) => send({ type: 'frame', frame }, transfer),
      (why) => {
        this.off()
        showMessage(why, true)
      },
    )
    this.#button.onclick = () => (this.#isOn ? this.off() : void this.on())
  }

  /** Turns the camera on. Returns false if it is refused. */
  async on(): Promise<boolean> {
    if (this.#isOn) return true
    hideMessage()
    if (!(await this.#live.start('camera', () => this.rate))) return false
    this.#isOn = true
    element('fileName').textContent = 'Clip'
    element('openFile').classList.remove('chosen')
    this.#send({ type: 'live', on: true })
    this.#show()
    return true
  }

  /** Turns the camera off. A recording is cancelled. */
  off(): void {
    this.cancel()
    if (!this.#isOn) return
    this.#live.stop()
    this.#isOn = false
    this.#send({ type: 'live', on: false })
    this.#answers.idle()
    this.#show()
  }

  /** Records an action. If that is under way, it is cancelled. */
  async record(action: ActionView): Promise<void> {
    if (this.#action) return this.cancel()
    this.#action = action
    this.#cards.mark(action.id)
    if (!(await this.on())) return this.cancel()
    if (this.#action !== action) return
    this.#cards.placeOf(action.id).append(element('frame'))
    element('frame').classList.add('away')
    element('caption').hidden = true
    this.#count(COUNTDOWN)
  }

  cancel(): void {
    if (!this.#action) return
    this.#send({ type: 'record', action: null })
    this.#end()
  }

  /** Whether the picture is in the card of an action. */
  get isAway(): boolean {
    return this.#action !== null
  }

  /** Called when a frame of the camera is shown: the next one may come. */
  answered(): void {
    this.#live.answered()
    element('frame').classList.toggle('mirrored', this.#live.facesUser)
  }

  follow({ action, done }: Extract<Reply, { type: 'recording' }>): void {
    if (this.#action?.id !== action) return
    element('frame').style.setProperty('--done', String(done))
    if (done !== 1) return
    element('said').textContent = `${this.#action.label} is recorded.`
    this.#end()
  }

  #count(seconds: number): void {
    const action = this.#action!
    const countdown = element('countdown')
    countdown.hidden = seconds === 0
    countdown.textContent = String(seconds)
    if (seconds > 0) {
      this.#cards.say(action.id, `Get ready: ${seconds}`)
      this.#timer = setTimeout(() => this.#count(seconds - 1), 1000)
      return
    }
    this.#cards.say(action.id, 'Recording. Do it now, and keep on doing it.')
    element('said').textContent = `Recording ${action.label}.`
    element('frame').classList.add('red')
    this.#send({ type: 'record', action: action.id })
  }

  #end(): void {
    clearTimeout(this.#timer)
    const { id } = this.#action!
    this.#action = null
    const frame = element('frame')
    frame.classList.remove('away', 'red')
    frame.style.setProperty('--done', '0')
    element('countdown').hidden = true
    element('home').append(frame)
    this.#cards.mark(null)
    this.#cards.say(id, '')
  }

  #show(): void {
    this.#button.setAttribute('aria-pressed', String(this.#isOn))
    this.#button.textContent = this.#isOn ? 'Camera off' : 'Camera'
  }
}
