/** The panel that chooses the source: the sample, a file, the camera or the screen. */
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
  readonly #changed: () => void
  #now: Chosen = { kind: 'sample', file: null, name: '' }
  /** The next video, until the worker has opened it. */
  #next: Chosen | undefined

  /** @param changed called when the source has changed */
  constructor(send: (request: Request, transfer?: Transferable[]) => void, changed: () => void) {
    this.#send = send
    this.#changed = changed
    this.#live = new Live(
      (bitmap, time) => send({ type: 'picture', bitmap, time }, [bitmap]),
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
    const response = await fetch('lake.mp4').catch(() => null)
    if (!response?.ok) {
      const why = response ? `HTTP ${response.status}` : 'no connection'
      return showMessage(`The sample clip is not beside this page (${why}).`, true)
    }
    this.#open({ kind: 'sample', file: await response.blob(), name: 'Sample clip' })
  }

  /** Opens the video again with another sampling rate. */
  openAgain(): void {
    if (this.#now.file) this.#open(this.#now)
  }

  /** Called when the worker has opened the next video. The previous source ends. */
  opened(): void {
    this.#live.stop()
    if (this.#next) this.#settle(this.#next)
    this.#next = undefined
  }

  answered(): void {
    this.#live.answered()
  }

  #open(next: Chosen): void {
    hideMessage()
    this.#next = next
    this.#send({ type: 'open', file: next.file!, name: next.name, rate: rateNow() })
  }

  async #goLive(kind: 'camera' | 'screen'): Promise<void> {
    if (!(await this.#live.start(kind, () => rateNow() || 30))) return
    hideMessage()
    this.#next = undefined
    this.#send({ type: 'live' })
    this.#settle({ kind, file: null, name: kind === 'camera' ? 'Camera' : 'Screen' })
  }

  #settle(now: Chosen): void {
    this.#now = now
    document.title = `${now.name} — trecvit`
    for (const id of ['sample', 'camera', 'screen'])
      element(id).setAttribute('aria-pressed', String(now.kind === id))
    element('openFile').classList.toggle('chosen', now.kind === 'file')
    element('fileName').textContent = now.kind === 'file' ? now.name : 'File'
    element('openFile').title = now.kind === 'file' ? now.name : ''
    this.#changed()
  }
}
