/** Plays a video through the stream, frame by frame. */
import type { Frame } from 'trecvit/video'
import type { Engine } from './engine.ts'
import type { Insight } from './insight.ts'
import { WINDOW } from './messages.ts'
import { begin, type Opened, type openAtFirst, peek, type Source } from './opened.ts'
import { Pace } from './pace.ts'
import { pictureOf } from './picture.ts'
import { Pusher } from './pusher.ts'
import { Snapshots } from './snapshots.ts'
import { inTurn, othersWait, post, queue } from './turns.ts'

/** Least difference of the times of two frames, in seconds. */
const TOLERANCE = 1e-3

/** Seconds before the current frame at which another model begins. */
const WARM_UP = 1

export class Player {
  readonly #engine: Engine
  readonly #insight: Insight
  readonly #snapshots = new Snapshots()
  readonly #pusher: Pusher
  #source: Source | undefined
  #opened: Opened | undefined
  #playing = false
  /** Counts plays, so that a loop knows whether it is still the current one. */
  #plays = 0
  /** Counts seeks, so that only the latest one is shown. */
  #seeks = 0
  /** Time of the last pushed frame and of the first frame, in seconds. */
  #now = 0
  #first = 0
  /** Whether the stream began after the first frame: the model or the stream was changed there. */
  #beganLater = false

  constructor(engine: Engine, insight: Insight) {
    this.#engine = engine
    this.#insight = insight
    this.#pusher = new Pusher(engine, insight, this.#snapshots)
  }

  get playing(): boolean {
    return this.#playing
  }

  /**
   * Plays another video from now on. If it could not be opened, the current one continues.
   * @param opening what `openAtFirst` returned for the source
   */
  async open(source: Source, opening: ReturnType<typeof openAtFirst>): Promise<void> {
    const opened = await opening
    const first = opened.next
    this.pause()
    await this.#close()
    this.#source = source
    this.#opened = opened
    this.#first = this.#now = first.time
    await this.reset()
    const { container, codec, width, height, duration, decoder } = opened.video.info
    const turned = first.rotation % 180 === 90
    post({
      type: 'opened',
      name: source.name,
      duration,
      width: turned ? height : width,
      height: turned ? width : height,
      about: `${container}, ${codec}, ${width}×${height}; decoded by ${decoder}`,
    })
  }

  /** From now on the page sends frames. */
  async openLive(): Promise<void> {
    this.pause()
    this.#source = undefined
    await this.#close()
    await this.reset()
  }

  /** Resets the stream. */
  async reset(): Promise<void> {
    await this.#engine.stream.reset()
    this.#forget(this.#now)
  }

  /** Called after another model was loaded: begins at the current position. */
  async beginAnew(): Promise<void> {
    const shows = this.#source && !this.#playing
    const from = shows ? Math.max(this.#first, this.#now - WARM_UP) : this.#now
    this.#forget(from)
    if (shows) await this.#restart(from, this.#now)
  }

  /** Pushes the next frame of the file, if there is one. */
  step(): Promise<void> {
    return this.#advance([true])
  }

  /** Pushes a frame of the page. It is dropped if a file was opened meanwhile. */
  async pushLive(frame: Frame): Promise<void> {
    if (this.#source) return
    const bitmap = await pictureOf(frame)
    this.#now = frame.time
    await this.#pusher.push(frame, { bitmap, looks: this.#insight.wants(true), saves: false })
  }

  /** Plays at the video's own pace, or as fast as possible if that is slower. */
  async play(): Promise<void> {
    if (!this.#opened && this.#source) await inTurn(() => this.#restart(0, 0))
    if (this.#playing || !this.#opened) return
    const mine = ++this.#plays
    this.#setPlaying(true)
    const plays = (): boolean => this.#playing && mine === this.#plays && this.#opened !== undefined
    while (plays()) await inTurn(() => this.#advance(this.#stepsWhile(plays)))
  }

  pause(): void {
    this.#setPlaying(false)
  }

  /** Shows the frame at a time. Playback continues from there. */
  seek(to: number): Promise<void> {
    const mine = ++this.#seeks
    return queue(async () => {
      if (mine === this.#seeks) await this.#seek(to)
    })
  }

  /** Computes the current map again. */
  async showAgain(): Promise<void> {
    if (this.#source && !this.#playing && this.#engine.stream.frame > 0) await this.#seek(this.#now)
  }

  /** Seeks from the latest snapshot before the time, if there is one. */
  async #seek(to: number): Promise<void> {
    if (!this.#source) return
    const found = this.#snapshots.before(to - TOLERANCE)
    const isBehind = this.#opened && this.#now < to - TOLERANCE
    // The current position is nearer than any snapshot.
    if (isBehind && !(found && found.time > this.#now)) return this.#advance(this.#stepsTo(to))
    if (found) {
      await this.#engine.goBack(found.bytes)
      const { rate } = this.#source
      return this.#restart(found.time + (rate ? 1 / rate : 2 * TOLERANCE), to)
    }
    await this.#restart(0, to)
  }

  async #restart(from: number, to: number): Promise<void> {
    const opened = await begin(this.#source!, Math.max(0, from - this.#first))
    await this.#close()
    if (from === 0) {
      await this.#engine.stream.reset()
      // The snapshots of a stream that began later lack the frames before it.
      if (this.#beganLater) this.#snapshots.clear()
      this.#beganLater = false
    }
    this.#opened = opened
    this.#now = from
    await this.#advance(this.#stepsTo(to))
  }

  /** Steps of a playing video, until other work is queued. */
  async *#stepsWhile(plays: () => boolean): AsyncGenerator<boolean> {
    const pace = new Pace()
    while (plays() && !othersWait()) {
      yield true
      // The first answer comes after these frames, so nothing waits for their times.
      if (this.#engine.stream.frame >= WINDOW) await pace.wait(this.#now)
    }
  }

  /** Steps to a time, until another seek. Only the last frame is shown. */
  async *#stepsTo(to: number): AsyncGenerator<boolean> {
    const seeks = this.#seeks
    while (this.#opened && seeks === this.#seeks) {
      const next = await peek(this.#opened)
      const isThere = !next || next.time >= to - TOLERANCE
      yield isThere
      if (isThere) return
    }
  }

  /**
   * Pushes the next frame of the file at each step, while the frame before is computed: at most two
   * are under way. None is when this ends, so other work of the queue finds all of them answered.
   * @param steps for each step, whether its frame is drawn
   */
  async #advance(steps: Iterable<boolean> | AsyncIterable<boolean>): Promise<void> {
    const underWay: Promise<void>[] = []
    let frames = this.#engine.stream.frame
    try {
      for await (const shows of steps) {
        const opened = this.#opened
        if (!opened) break
        const frame = await peek(opened)
        if (!frame) {
          await Promise.all(underWay)
          return await this.#end()
        }
        opened.next = undefined
        const bitmap = shows ? await pictureOf(frame) : null
        const looks = shows && this.#insight.wants(this.#playing)
        const saves = this.#snapshots.isDue(++frames)
        this.#now = frame.time
        const answered = this.#pusher.push(frame, { bitmap, looks, saves })
        answered.catch(() => {})
        underWay.push(answered)
        // A map is computed before the next frame.
        while (underWay.length > (looks ? 0 : 1)) await underWay.shift()
      }
      await Promise.all(underWay)
    } catch (error) {
      this.pause()
      throw error
    } finally {
      await Promise.allSettled(underWay)
    }
  }

  /** Called after the last answer. */
  async #end(): Promise<void> {
    this.pause()
    const frames = this.#engine.stream.frame
    if (frames > 0) post({ type: 'ended', overall: this.#pusher.overall, frames })
    await this.#close()
  }

  /** Drops what belongs to the stream before. @param from time at which the new one begins */
  #forget(from: number): void {
    this.#beganLater = from > this.#first
    this.#snapshots.clear()
    this.#insight.forget()
    post({ type: 'cleared' })
  }

  #setPlaying(playing: boolean): void {
    if (this.#playing === playing) return
    this.#playing = playing
    post({ type: 'playing', playing })
  }

  async #close(): Promise<void> {
    const closing = this.#opened
    this.#opened = undefined
    await closing?.video.close()
  }
}
