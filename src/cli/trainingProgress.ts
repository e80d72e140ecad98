/** Progress of a training on standard error, if that is a terminal: numbers and a curve. */
import { brailleCurve } from './liveCurve.ts'
import type { Step } from './report/training.ts'
import type { GlobalOptions } from './run.ts'
import { bar } from './terminal.ts'

/** Milliseconds between two pictures. */
const PAUSE = 100
/** Lines of the curve, and the columns that a terminal needs for it. */
const [HEIGHT, MIN_WIDTH] = [2, 50]
/** Columns of the bar. */
const BAR = 8
/** Losses that the curve is drawn of. Beyond, neighbours are averaged. */
const MAX_POINTS = 1024

/** Draws the steps of a training. */
export class TrainingProgress {
  readonly #isShown: boolean
  readonly #total: number
  readonly #start = performance.now()
  /** Mean losses of `#size` steps each; the last one may have fewer. */
  #losses: number[] = []
  #size = 1
  #count = 0
  #first: number | undefined
  #lines = 0
  #drawn = -Infinity

  /** @param total number of all steps */
  constructor({ quiet }: GlobalOptions, total: number) {
    this.#isShown = !quiet && process.stderr.isTTY === true
    this.#total = total
  }

  update(step: Step): void {
    if (!this.#isShown) return
    this.#add(step.loss)
    this.#first ??= step.step - 1
    const now = performance.now()
    if (now - this.#drawn < PAUSE) return
    this.#drawn = now
    const seconds = (now - this.#start) / 1000
    const left = (seconds / (step.step - this.#first)) * (this.#total - step.step)
    const columns = process.stderr.columns || 80
    this.#show(drawProgress(step, this.#losses, { total: this.#total, left, columns }))
  }

  /** Hides the progress. */
  stop(): void {
    if (this.#isShown) this.#show([])
  }

  #add(loss: number): void {
    const index = Math.floor(this.#count / this.#size)
    const share = this.#count % this.#size
    this.#losses[index] = ((this.#losses[index] ?? 0) * share + loss) / (share + 1)
    this.#count++
    if (this.#losses.length < MAX_POINTS || share + 1 < this.#size) return
    this.#losses = Array.from(
      { length: MAX_POINTS / 2 },
      (_, i) => (this.#losses[2 * i]! + this.#losses[2 * i + 1]!) / 2,
    )
    this.#size *= 2
  }

  #show(lines: readonly string[]): void {
    // Up to the first line of the last picture, and everything below is erased.
    const up = this.#lines > 1 ? `\x1b[${this.#lines - 1}A` : ''
    process.stderr.write(`${this.#lines > 0 ? `\r${up}\x1b[J` : ''}${lines.join('\n')}`)
    this.#lines = lines.length
  }
}

/** Returns a line of numbers, and in a wide terminal the curve of the loss. */
export function drawProgress(
  { step, epoch, loss, accuracy, framesPerSecond }: Step,
  losses: readonly number[],
  {
    total,
    left,
    columns,
  }: { readonly total: number; readonly left: number; readonly columns: number },
): string[] {
  const numbers = [
    `step ${step}/${total}`,
    `loss ${loss.toFixed(3)}`,
    ...(accuracy === undefined ? [] : [`accuracy ${Math.round(100 * accuracy)} %`]),
    `${duration(left)} left`,
    `${Number(framesPerSecond.toPrecision(3))} frames/s`,
    `epoch ${epoch}`,
  ]
  const bars = bar(step / total, BAR).padEnd(BAR, '░')
  // The last numbers are omitted where they do not fit.
  while (numbers.length > 1 && `${bars}  ${numbers.join('  ')}`.length >= columns) numbers.pop()
  const line = `${bars}  ${numbers.join('  ')}`.slice(0, columns - 1)
  if (columns < MIN_WIDTH || losses.length < 2) return [line]
  const [least, most] = losses.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  )
  const labels = [most, least].map((value) => value.toFixed(3).padStart(7))
  const curve = brailleCurve(losses, columns - 12, HEIGHT)
  return [line, ...curve.map((text, row) => `${labels[row]} ┤${text}`)]
}

/** Formats seconds: 12 s, 3 min 20 s, 2 h 5 min. */
function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
