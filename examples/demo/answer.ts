/** The panel with the model's answer, its confidence, and speed. */
import type { Class } from 'trecvit'
import { paintWith } from './colours.ts'
import { type Reply, WINDOW } from './messages.ts'
import { element } from './text.ts'
import { nameOf, percent } from './words.ts'

/** Number of answers that speed and latency are computed from. */
const RECENT = 120
/** Number of classes in the list. */
const LISTED = 5

const rows = Array.from({ length: LISTED }, () => {
  const row = document.createElement('li')
  row.append(document.createElement('span'), document.createElement('span'))
  return row
})

export class Answer {
  readonly #latencies: number[] = []
  readonly #arrivals: number[] = []

  constructor() {
    element('top').replaceChildren(...rows)
    this.clear()
  }

  /** Shows that there is no answer yet. */
  clear(): void {
    this.#latencies.length = this.#arrivals.length = 0
    this.#wait(0)
  }

  show({ frame, top, milliseconds }: Extract<Reply, { type: 'answer' }>): void {
    this.#measure(milliseconds)
    if (frame + 1 < WINDOW) return this.#wait(frame + 1)
    const best = top[0]!
    this.#show(best, `${percent(best.prob)} over the last ${WINDOW} frames`)
    rows.forEach((row, index) => {
      const one = top[index]
      row.hidden = !one
      if (!one) return
      row.style.setProperty('--share', one.prob.toFixed(3))
      row.children[0]!.textContent = nameOf(one)
      row.children[1]!.textContent = percent(one.prob)
      paintWith(row, nameOf(one))
    })
    element('caption').hidden = false
    paintWith(element('caption'), nameOf(best))
    element('captionLabel').textContent = nameOf(best)
    element('captionProb').textContent = percent(best.prob)
  }

  /** Shows the answer for the whole video. */
  end({ overall, frames }: Extract<Reply, { type: 'ended' }>): string {
    const best = overall[0]!
    const sentence = `Over all ${frames} frames: ${nameOf(best)} (${percent(best.prob)}).`
    if (frames < WINDOW) this.#show(best, `${percent(best.prob)} over all ${frames} frames`)
    return sentence
  }

  #show(best: Class, about: string): void {
    element('label').textContent = nameOf(best)
    element('label').className = ''
    element('prob').textContent = about
  }

  #wait(frames: number): void {
    element('label').textContent = frames ? 'Looking …' : 'Starting …'
    element('label').className = 'waits'
    element('prob').textContent = frames
      ? `The first answer comes after ${WINDOW} frames: ${frames}.`
      : `The answer stands for the last ${WINDOW} frames.`
    for (const row of rows) row.hidden = true
    element('caption').hidden = true
  }

  #measure(milliseconds: number): void {
    for (const [list, value] of [
      [this.#latencies, milliseconds],
      [this.#arrivals, performance.now()],
    ] as const) {
      list.push(value)
      if (list.length > RECENT) list.shift()
    }
    const sorted = [...this.#latencies].sort((one, other) => one - other)
    const at = (share: number): string => {
      const one = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
      return one.toFixed(one < 10 ? 1 : 0)
    }
    fact('latency', `${at(0.5)} ms; 95 % in ${at(0.95)}\u00a0ms`)
    const span = this.#arrivals.at(-1)! - this.#arrivals[0]!
    if (span <= 0) return
    fact('fps', ((1000 * (this.#arrivals.length - 1)) / span).toFixed(1))
  }
}

/** Shows a fact under its name, or hides both if the text is empty. */
export function fact(id: string, text: string): void {
  element(id).textContent = text
  element(id).parentElement!.hidden = !text
}

// ---- memory, if the browser can measure it

const measured = (
  performance as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> }
).measureUserAgentSpecificMemory

async function weigh(): Promise<void> {
  const { bytes } = await measured!.call(performance)
  fact('memory', `${(bytes / 1e6).toFixed(0)} MB`)
  setTimeout(() => void weigh().catch(() => {}), 5000)
}

export function watchMemory(): void {
  if (measured && crossOriginIsolated) void weigh().catch(() => {})
}
