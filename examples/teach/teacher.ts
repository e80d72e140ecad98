/** The encoder, the lesson and the learnt head, in the worker. */
import { queue, sentenceOf } from '../demo/turns.ts'
import { Encoder } from './encoder.ts'
import { Head } from './head.ts'
import { type KeptLesson, Lesson, viewOf } from './lesson.ts'
import { FEWEST } from './messages.ts'
import { post } from './post.ts'
import { forgetAll, keep, recall } from './store.ts'

/** Milliseconds between two reports of progress. */
const REPORT = 100

export class Teacher {
  readonly lesson = new Lesson()
  #encoder: Encoder | undefined
  #head: Head | null = null
  #learning: AbortController | undefined
  #canKeep = true

  get encoder(): Encoder {
    return this.#encoder!
  }

  get head(): Head | null {
    return this.#head
  }

  /** Opens the kept lesson with its encoder, or begins anew with the built-in one. */
  async begin(): Promise<void> {
    const file = await recall<File>('encoder').catch(() => undefined)
    const kept = await recall<KeptLesson>('lesson').catch(() => undefined)
    await this.#open(file ?? null).catch((error: unknown) => {
      post({ type: 'error', text: sentenceOf(error) })
      return this.#open(null)
    })
    if (kept) {
      this.lesson.recall(kept)
      if (kept.fingerprint !== this.encoder.fingerprint) {
        this.lesson.removeRecordings()
        post({
          type: 'note',
          text: 'The encoder has changed since your last visit. Record the actions again.',
        })
      }
      const { learnt } = this.lesson
      if (learnt)
        this.#head = await Head.open(
          this.encoder.configFor(learnt.actions.length),
          learnt.parameters,
        )
    }
    this.show()
  }

  /** Uses another encoder. The recordings are removed: their features are those of the old one. */
  async useEncoder(file: File | null): Promise<void> {
    const before = this.#encoder
    await this.#open(file)
    this.#stopLearning()
    await before?.dispose()
    this.lesson.removeRecordings()
    await this.#setHead(null)
    await this.#keep('encoder', file ?? undefined)
    await this.changed()
  }

  /** Called after a change of the lesson: keeps and shows it. */
  async changed(): Promise<void> {
    this.show()
    await this.#keep('lesson', this.lesson.keep(this.encoder.fingerprint))
  }

  /** Called after a change of the recordings: learns again, if it has learnt or is learning. */
  async changedRecordings(): Promise<void> {
    const isKnown = this.lesson.learnt !== null || this.#learning !== undefined
    const isEnough = this.lesson.recorded.length >= FEWEST
    if (isKnown && !isEnough) {
      this.#stopLearning()
      this.lesson.learnt = null
      await this.#setHead(null)
    }
    await this.changed()
    if (isKnown && isEnough) void this.learn()
  }

  show(): void {
    const { views, learnt } = this.lesson
    post({ type: 'lesson', actions: views, learnt })
  }

  /** Learns from the recordings. A run that is under way is cancelled. Pictures go on. */
  async learn(): Promise<void> {
    this.#stopLearning()
    const learning = new AbortController()
    this.#learning = learning
    const { hindrance, recorded } = this.lesson
    const start = performance.now()
    try {
      if (hindrance) throw new Error(`${hindrance}.`)
      const { head, confusion } = await Head.learn(
        this.encoder.configFor(recorded.length),
        this.encoder.start,
        recorded.map(({ recordings }) => recordings),
        (result) => post({ type: 'learning', ...result }),
        learning.signal,
      )
      if (learning.signal.aborted) return await head.dispose()
      const view = viewOf(
        recorded.map(({ id }) => id),
        confusion,
      )
      this.lesson.learnt = { ...view, parameters: await head.parameters() }
      await this.#setHead(head)
      if (learning.signal.aborted) return
      this.#learning = undefined
      await this.changed()
      post({ type: 'learned', seconds: (performance.now() - start) / 1000 })
    } catch (error) {
      if (learning.signal.aborted) return
      this.#stopLearning()
      post({ type: 'error', text: sentenceOf(error) })
    }
  }

  /** Returns the model as a .safetensors file with the names of its classes. */
  async file(): Promise<Blob> {
    const { hindrance } = this.lesson
    if (hindrance) throw new Error(`${hindrance}.`)
    const { actions, parameters } = this.lesson.learnt!
    const labels = actions.map((id) => this.lesson.labelOf(id))
    return new Blob([(await this.encoder.join(parameters, labels)) as BlobPart])
  }

  async forget(): Promise<void> {
    this.#stopLearning()
    this.lesson.clear()
    this.show()
    await this.#setHead(null)
    if (this.encoder.file) {
      const before = this.encoder
      await this.#open(null)
      await before.dispose()
    }
    await forgetAll()
  }

  async #open(file: File | null): Promise<void> {
    const name = file?.name ?? 'the built-in encoder'
    let reported = -Infinity
    try {
      this.#encoder = await Encoder.open(file, (share) => {
        if (performance.now() - reported < REPORT) return
        reported = performance.now()
        post({ type: 'loading', name, share })
      })
    } finally {
      post({ type: 'loading', name, share: null })
    }
    const { about, rate } = this.#encoder
    post({ type: 'encoder', name: file?.name ?? null, about, rate })
  }

  #stopLearning(): void {
    if (!this.#learning) return
    this.#learning.abort()
    this.#learning = undefined
    post({ type: 'learned', seconds: null })
  }

  /** Replaces the head between two pictures. */
  #setHead(head: Head | null): Promise<void> {
    const before = this.#head
    this.#head = head
    return queue(async () => before?.dispose())
  }

  async #keep(key: string, value: unknown): Promise<void> {
    try {
      await keep(key, value)
    } catch (error) {
      if (this.#canKeep)
        post({
          type: 'note',
          text:
            `This browser does not keep the actions (${sentenceOf(error)}). ` +
            'Download the model before you close the page.',
        })
      this.#canKeep = false
    }
  }
}
