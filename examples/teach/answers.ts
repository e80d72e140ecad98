/** Step 3: the picture, and a bar for each action. A press on a bar corrects the answer. */
import { element } from '../demo/text.ts'
import { percent } from '../demo/words.ts'
import { paint } from './colours.ts'
import type { ActionView, LearntView, Reply, Request } from './messages.ts'

/** Milliseconds that an answer lasts before it is announced. */
const STEADY = 900

export class Answers {
  readonly #send: (request: Request) => void
  readonly #picture = element<HTMLCanvasElement>('picture')
  #rows: readonly HTMLButtonElement[] = []
  #labels: readonly string[] = []
  #shown = ''
  #best = -1
  #since = 0
  #announced = ''

  constructor(send: (request: Request) => void) {
    this.#send = send
  }

  /** Shows the actions that were learnt. */
  fit(actions: readonly ActionView[], learnt: LearntView | null): void {
    const known = learnt?.actions ?? []
    const labels = known.map((id) => actions.find((one) => one.id === id)?.label ?? 'removed')
    const shown = JSON.stringify([known, labels])
    if (shown === this.#shown) return
    this.#shown = shown
    this.#labels = labels
    this.#rows = known.map((id, index) => {
      const row = document.createElement('button')
      row.type = 'button'
      paint(
        row,
        Math.max(
          0,
          actions.findIndex((one) => one.id === id),
        ),
      )
      row.append(document.createElement('span'), document.createElement('output'))
      row.children[0]!.textContent = labels[index]!
      row.children[1]!.setAttribute('aria-live', 'off')
      row.onclick = () => this.#send({ type: 'correct', action: id })
      return row
    })
    element('answers').replaceChildren(
      ...this.#rows.map((row) => {
        const item = document.createElement('li')
        item.append(row)
        return item
      }),
    )
    element('answers').hidden = known.length === 0
    element('tryHint').textContent = known.length
      ? 'Wrong? Press the right action: the last seconds are added to it, and it learns again.'
      : 'The actions appear here after they are learned.'
    this.clear()
  }

  draw(bitmap: ImageBitmap): void {
    const { width, height } = bitmap
    const canvas = this.#picture
    if (canvas.width !== width || canvas.height !== height)
      [canvas.width, canvas.height] = [width, height]
    element('frame').style.aspectRatio = `${width} / ${height}`
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0)
    bitmap.close()
    element('idle').hidden = true
  }

  show({ probs }: Extract<Reply, { type: 'frame' }>): void {
    // There is no answer before a full window: that of another source must not stay.
    if (!probs) return this.clear()
    // An answer may still be that of an earlier head.
    if (probs.length !== this.#rows.length) return
    let best = 0
    for (const [index, prob] of probs.entries()) {
      if (prob > probs[best]!) best = index
      const row = this.#rows[index]!
      row.style.setProperty('--share', prob.toFixed(3))
      row.children[1]!.textContent = percent(prob)
    }
    for (const [index, row] of this.#rows.entries()) row.classList.toggle('best', index === best)
    const caption = element('caption')
    caption.hidden = false
    caption.style.setProperty('--colour', this.#rows[best]!.style.getPropertyValue('--colour'))
    element('captionLabel').textContent = this.#labels[best]!
    element('captionProb').textContent = percent(probs[best]!)
    this.#announce(best)
  }

  /** Called when the source has ended or changed. */
  clear(): void {
    this.#best = -1
    element('caption').hidden = true
    for (const row of this.#rows) {
      row.style.setProperty('--share', '0')
      row.children[1]!.textContent = ''
      row.classList.remove('best')
    }
  }

  /** Shows that there is no picture. */
  idle(): void {
    this.clear()
    this.#picture.getContext('2d')!.clearRect(0, 0, this.#picture.width, this.#picture.height)
    element('idle').hidden = false
  }

  /** Announces an answer that lasts to screen readers. */
  #announce(best: number): void {
    const now = performance.now()
    if (best !== this.#best) [this.#best, this.#since] = [best, now]
    const label = this.#labels[best]!
    if (now - this.#since < STEADY || label === this.#announced) return
    this.#announced = label
    element('said').textContent = label
  }
}
