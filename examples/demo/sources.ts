/** The panel that chooses the source: the sample, a file, the camera or the screen. */
import { fact } from './answer.ts'
import type { SourceKind } from './code.ts'
import { Live } from './live.ts'
import type { Request } from './messages.ts'
import { rateNow } from './settings.ts'
import { element, hideMessage, showMessage } from './text.ts'

/** A video and its source. */
interface Chosen {
  readonly kind: SourceKind
  readonly file: Blob | null
  readonly name: string
}

export class Sources {
  readonly #send: (request: Request, transfer?: Transferable[]) => void
  readonly #live: Live
  readonly #changed: (isLive: boolean) => void
  #now: Chosen = { kind: 'sample', file: null, name: '' }
  /** Videos that the worker has not opened yet, and those that it could not open since. */
  #asked: Chosen[] = []
  /** Number of choices so far. */
  #choices = 0

  /** @param changed called when the source has changed, with whether it is the camera or screen */
  constructor(
    send: (request: Request, transfer?: Transferable[]) => void,
    changed: (isLive: boolean) => void,
  ) {
    this.#send = send
    this.#changed = changed
    this.#live = new Live(
      (frame, transfer) => {
        send({ type: 'frame', frame }, transfer)
        this.#showDropped()
      },
      (why) => showMessage(why, true),
    )
    element('sample').onclick = () => void this.openSample()
    element('camera').onclick = () => void this.#goLive('camera')
    element('screen').onclick = () => void this.#goLive('screen')
    element<HTMLInputElement>('file').onchange = ({ target }) => {
      const input = target as HTMLInputElement
      const [file] = input.files ?? []
      if (file) this.open(file)
      // Allows the same file to be chosen again.
      input.value = ''
    }
  }

  get kind(): SourceKind {
    return this.#now.kind
  }

  open(file: File): void {
    this.#open({ kind: 'file', file, name: file.name })
  }

  async openSample(): Promise<void> {
    const choice = ++this.#choices
    const response = await fetch('lake.mp4').catch(() => null)
    if (!response?.ok) {
      const why = response ? `HTTP ${response.status}` : 'no connection'
      return showMessage(`The sample clip is not beside this page (${why}).`, true)
    }
    const file = await response.blob()
    // Something else may have been chosen meanwhile.
    if (choice === this.#choices) this.#open({ kind: 'sample', file, name: 'Sample clip' })
  }

  /** Opens the video again with another sampling rate. */
  openAgain(): void {
    if (this.#now.file) this.#open(this.#now)
  }

  /**
   * Called when the worker has opened a video. The previous source ends.
   * @returns false if the camera or the screen was chosen meanwhile
   */
  opened(name: string): boolean {
    const index = this.#asked.findLastIndex((one) => one.name === name)
    const now = this.#asked[index]
    if (!now) return false
    this.#live.stop()
    this.#settle(now)
    this.#asked = this.#asked.slice(index + 1)
    return true
  }

  answered(): void {
    this.#live.answered()
  }

  #showDropped(): void {
    const { given, dropped } = this.#live.counts
    fact('dropped', `${dropped} of ${given + dropped}`)
  }

  #open(next: Chosen): void {
    this.#choices++
    hideMessage()
    this.#asked.push(next)
    this.#send({ type: 'open', file: next.file!, name: next.name, rate: rateNow() })
  }

  async #goLive(kind: 'camera' | 'screen'): Promise<void> {
    if (!(await this.#live.start(kind, rateNow))) return
    this.#choices++
    hideMessage()
    this.#asked = []
    this.#send({ type: 'live' })
    this.#settle({ kind, file: null, name: kind === 'camera' ? 'Camera' : 'Screen' })
  }

  #settle(now: Chosen): void {
    this.#now = now
    document.title = `${now.name} — trecvit`
    if (now.file) fact('dropped', '')
    for (const id of ['sample', 'camera', 'screen'])
      element(id).setAttribute('aria-pressed', String(now.kind === id))
    element('openFile').classList.toggle('chosen', now.kind === 'file')
    element('fileName').textContent = now.kind === 'file' ? now.name : 'File'
    element('openFile').title = now.kind === 'file' ? now.name : ''
    this.#changed(!now.file)
  }
}
