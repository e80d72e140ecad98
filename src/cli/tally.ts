/** Counts the right answers for labelled videos. */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { Class } from '../model/heads/classification.ts'
import type { TRecViT } from '../model/trecvit.ts'
import type { Labelled } from './labelled.ts'
import type { Evaluated } from './report/evaluation.ts'

/** Returns the names of all classes; their numbers if they have none. */
export function namesOf({ labels, config }: Pick<TRecViT, 'labels' | 'config'>): readonly string[] {
  return labels ?? Array.from({ length: config.numClasses }, (_, i) => String(i))
}

/**
 * Returns the class with this name, or this number as in the lists of Kinetics. Names that are
 * numbers are no positions.
 */
function classOf(label: string, names: readonly string[]): string | undefined {
  if (names.includes(label)) return label
  const isNumber = (text: string) => /^\d+$/.test(text)
  return isNumber(label) && !names.every(isNumber) ? names[Number(label)] : undefined
}

/** @throws TrecvitError if a video has a class that the model does not have */
export function checkLabels(videos: readonly Labelled[], names: readonly string[]): void {
  const unknown = videos.find(({ label }) => classOf(label, names) === undefined)
  if (unknown)
    throw new TrecvitError(
      `${quote(unknown.source)} has the class ${quote(unknown.label)}, which the model does not ` +
        `have; its classes are ${names
          .slice(0, 5)
          .map((name) => quote(name))
          .join(', ')}` +
        (names.length > 5 ? ' …' : ''),
    )
}

/** The answers for labelled videos. */
export class Tally {
  readonly #names: readonly string[]
  /** For each class, the number of its videos by their most probable class. */
  readonly #answers: ReadonlyMap<string, Map<string, number>>
  readonly #errors: { video: string; error: string }[] = []
  #count = 0
  #hits1 = 0
  #hits5 = 0

  /** @param names names of all classes */
  constructor(names: readonly string[]) {
    this.#names = names
    this.#answers = new Map(names.map((name) => [name, new Map<string, number>()]))
  }

  /**
   * Adds the answer for a video.
   * @param label name or number of its class
   * @param top its five most probable classes
   */
  add(label: string, top: readonly Pick<Class, 'index'>[]): void {
    const want = classOf(label, this.#names)!
    const found = top.map(({ index }) => this.#names[index]!)
    this.#count++
    this.#hits1 += +(found[0] === want)
    this.#hits5 += +found.includes(want)
    const counts = this.#answers.get(want)!
    counts.set(found[0]!, (counts.get(found[0]!) ?? 0) + 1)
  }

  /** Adds a video without an answer. */
  fail(video: string, error: string): void {
    this.#errors.push({ video, error })
  }

  /** @throws TrecvitError with the first error if no video has an answer */
  result(): Evaluated {
    const videos = this.#count
    if (videos === 0) throw new TrecvitError(this.#errors[0]?.error ?? 'No video has an answer')
    return {
      videos,
      top1: this.#hits1 / videos,
      top5: this.#hits5 / videos,
      errors: this.#errors,
      classes: [...this.#answers].flatMap(([label, counts]) => {
        const count = [...counts.values()].reduce((sum, value) => sum + value, 0)
        const top1 = (counts.get(label) ?? 0) / count
        return count === 0
          ? []
          : [{ label, videos: count, top1, answers: Object.fromEntries(counts) }]
      }),
    }
  }
}
