/** The panel that chooses the model: the built-in one, or a file, which the browser may store. */
import type { Origin, Reply, Request } from './messages.ts'
import { element, hideMessage, showMessage } from './text.ts'
import { megabytes } from './words.ts'

const isCheckpoint = ({ name }: File): boolean => /\.(npz|safetensors)$/i.test(name)
const isLabels = ({ name }: File): boolean => /\.txt$/i.test(name)

export class ModelPanel {
  readonly #send: (request: Request) => void
  readonly #keep = element<HTMLInputElement>('keep')
  readonly #builtin = element<HTMLButtonElement>('builtin')

  constructor(send: (request: Request) => void) {
    this.#send = send
    for (const id of ['checkpoint', 'labels']) {
      element<HTMLInputElement>(id).onchange = ({ target }) => {
        const input = target as HTMLInputElement
        this.#open([...input.files!], id)
        // Allows the same file to be chosen again.
        input.value = ''
      }
    }
    this.#builtin.onclick = () => this.#load({ kind: 'builtin', labels: null })
    this.#keep.onchange = () => {
      if (this.#keep.checked) void navigator.storage?.persist?.()
    }
    element('recall').onclick = () => send({ type: 'recall' })
    element('forget').onclick = () => send({ type: 'forget' })
    element('cancel').onclick = () => send({ type: 'cancel' })
  }

  /** Opens dropped checkpoints and labels. Returns the other files. */
  take(files: readonly File[]): File[] {
    this.#open(files.filter((file) => isCheckpoint(file) || isLabels(file)))
    return files.filter((file) => !isCheckpoint(file) && !isLabels(file))
  }

  show({ name, about, kind }: Extract<Reply, { type: 'model' }>): void {
    element('modelName').textContent = name ?? 'Built in: how the camera moves'
    element('modelAbout').textContent = `${about}.`
    this.#builtin.hidden = kind === 'builtin'
  }

  follow(progress: Extract<Reply, { type: 'loading' }>['progress']): void {
    element('loading').hidden = progress === null
    if (!progress) return
    const { name, done, total, seconds } = progress
    element<HTMLProgressElement>('loaded').value = done / total
    element('left').textContent =
      `${name}: ${megabytes(done)} of ${megabytes(total)}, ${duration(seconds)} left`
  }

  showKept(kept: Extract<Reply, { type: 'kept' }>['kept']): void {
    element('kept').hidden = kept === null
    if (kept)
      element('keptName').textContent =
        `Kept in this browser: ${kept.name}, ${megabytes(kept.bytes)}`
  }

  /** @param as kind of the files, whatever their names */
  #open(files: readonly File[], as?: string): void {
    const checkpoint = files.find((file) => (as ? as === 'checkpoint' : isCheckpoint(file)))
    const labels = files.find((file) => (as ? as === 'labels' : isLabels(file)))
    void (async () => {
      const names = labels ? (await labels.text()).trimEnd().split(/\r?\n/) : null
      if (checkpoint) this.#load({ kind: 'file', file: checkpoint, labels: names })
      else if (names) this.#send({ type: 'labels', labels: names })
    })().catch((error: Error) => showMessage(`The labels cannot be read (${error.message}).`, true))
  }

  #load(origin: Origin): void {
    hideMessage()
    this.#send({ type: 'model', origin, keep: this.#keep.checked })
  }
}

function duration(seconds: number): string {
  const rest = Math.ceil(seconds)
  return rest < 90 ? `${rest} s` : `${Math.ceil(rest / 60)} min`
}
