/**
 * Reads files with FFmpeg in WebAssembly (reader.c). If bytes must be loaded first, Binaryen's
 * Asyncify unwinds the stack of the module, and rewinds it afterwards.
 */
import { yieldToEventLoop } from '../../platform/platform.ts'
import { DecoderFault, firstLine } from '../decoder/track.ts'
import { asFault } from '../decoder/wasm.ts'
import { type Common, NEEDS_INPUT, PICTURE, WasmMemory } from '../decoder/wasmMemory.ts'
import { hostOf, wasmModule } from '../decoder/wasmModule.ts'
import type { Rotation } from '../frame.ts'
import { type ByteFeed, feedOf } from './byteFeed.ts'
import type { Job, Read, Reader, TrackInfo } from './reader.ts'

/** Exports of reader.c and of Asyncify. */
interface Exports extends Common {
  openFile(format: number, size: number, isTolerant: number): number
  nextPicture(): number
  factsAt(): number
  momentAt(): number
  asyncify_get_state(): number
  asyncify_start_unwind(data: number): void
  asyncify_stop_unwind(): void
  asyncify_start_rewind(data: number): void
  asyncify_stop_rewind(): void
}

/** States of Asyncify. */
const UNWINDING = 1
const REWINDING = 2
/** Bytes for the unwound stack. */
const STACK = 1 << 16
/** Milliseconds of work before yielding to the event loop. */
const PAUSE = 4

/**
 * Opens a file with a new instance of the module.
 * @param url of the module; default: beside this code
 * @throws DecoderFault if the module is missing or cannot read the file
 */
export async function openByWasm(job: Job, url?: string | URL): Promise<Reader> {
  const module = await wasmModule(url)
  job.signal.throwIfAborted()
  const reader = await WasmReader.start(module, job)
  await reader.open()
  return reader
}

class WasmReader implements Reader {
  facts!: TrackInfo
  damage: string | null = null
  readonly #wasm: Exports
  readonly #memory: WasmMemory
  readonly #feed: ByteFeed
  readonly #job: Job
  readonly #skips: boolean
  #stack = 0
  /** The bytes that the unwound call needs. */
  #requested: { readonly at: number; readonly size: number } | null = null
  #damages = 0
  #isFirst = true
  #yieldedAt = performance.now()

  private constructor(wasm: Exports, feed: ByteFeed, job: Job) {
    this.#wasm = wasm
    this.#memory = new WasmMemory(wasm)
    this.#feed = feed
    this.#job = job
    this.#skips = job.onError === 'skip'
  }

  static async start(module: WebAssembly.Module, job: Job): Promise<WasmReader> {
    let reader: WasmReader
    const host = hostOf(module, (at, into, size) => reader.#read(at, into, size))
    const { exports } = await WebAssembly.instantiate(module, host)
    const wasm = exports as unknown as Exports
    if (wasm.openFile === undefined)
      throw new DecoderFault('this decoder.wasm reads no files: it is older than this package', {
        progress: 'refused',
      })
    wasm._initialize()
    reader = new WasmReader(wasm, await feedOf(job.media, job.signal), job)
    return reader
  }

  async open(): Promise<void> {
    const memory = this.#memory
    this.#stack = memory.allocate(STACK + 8)
    memory.view(this.#stack).setUint32(0, this.#stack + 8, true)
    memory.view(this.#stack).setUint32(4, this.#stack + 8 + STACK, true)
    const { media, format, onError } = this.#job
    const name = memory.put(new TextEncoder().encode(`${format.demuxer}\0`))
    const size = this.#feed.isSeekable ? media.size! : -1
    // A broadcast may start between key frames. Errors before its first picture are not damage.
    const isTolerant = onError === 'skip' || format.isBroadcast ? 1 : 0
    const code = await this.#run(() => this.#wasm.openFile(name, size, isTolerant))
    memory.check(code)
    this.facts = this.#readTrackInfo()
  }

  async next(): Promise<Read | null> {
    let code = NEEDS_INPUT
    while (code === NEEDS_INPUT) {
      this.#job.signal.throwIfAborted()
      code = this.#memory.check(await this.#run(() => this.#wasm.nextPicture()))
      if (performance.now() - this.#yieldedAt < PAUSE) continue
      await yieldToEventLoop()
      this.#yieldedAt = performance.now()
    }
    const damage = this.#newDamage()
    if (damage !== null && !this.#skips && !this.#isFirst) throw new DecoderFault(damage)
    this.#isFirst = false
    if (code !== PICTURE) {
      this.damage = damage
      return null
    }
    const { index: _, ...picture } = this.#memory.picture()
    const moment = this.#memory.view(this.#wasm.momentAt())
    const time = moment.getFloat64(0, true)
    return {
      ...picture,
      time,
      aspect: moment.getFloat64(8, true),
      damage: this.#skips ? damage : null,
    }
  }

  /** Returns the cause of damage since the last call. */
  #newDamage(): string | null {
    const moment = this.#memory.view(this.#wasm.momentAt())
    const damages = moment.getInt32(16, true)
    const isNew = damages > this.#damages
    this.#damages = damages
    return isNew
      ? `FFmpeg reports ${firstLine(this.#memory.text(moment.getUint32(20, true)))}`
      : null
  }

  close(): Promise<void> {
    return this.#feed.close()
  }

  /** Calls the module. Each time the call unwinds, loads bytes and rewinds it. */
  async #run(call: () => number): Promise<number> {
    const wasm = this.#wasm
    try {
      let code = call()
      while (wasm.asyncify_get_state() === UNWINDING) {
        wasm.asyncify_stop_unwind()
        await this.#feed.load(this.#requested!.at, this.#requested!.size)
        wasm.asyncify_start_rewind(this.#stack)
        code = call()
      }
      return code
    } catch (error) {
      throw asFault(error)
    }
  }

  /** Copies bytes into the module. Called by the module. */
  #read(at: number, into: number, size: number): number {
    const wasm = this.#wasm
    const bytes = this.#feed.now(at, size)
    if (bytes === null) {
      this.#requested = { at, size }
      wasm.asyncify_start_unwind(this.#stack)
      return 0
    }
    if (wasm.asyncify_get_state() === REWINDING) wasm.asyncify_stop_rewind()
    this.#memory.bytes.set(bytes, into)
    return bytes.length
  }

  #readTrackInfo(): TrackInfo {
    const view = this.#memory.view(this.#wasm.factsAt())
    const real = (slot: number): number | null => {
      const value = view.getFloat64(8 * slot, true)
      return value > 0 && Number.isFinite(value) ? value : null
    }
    const word = (slot: number): number => view.getInt32(16 + 4 * slot, true)
    const text = (slot: number): string | null =>
      word(slot) === 0 ? null : this.#memory.text(word(slot))
    const range = word(3)
    return {
      duration: real(0),
      fps: real(1),
      codec: text(0) ?? 'unknown',
      profile: text(1),
      matrix: text(2),
      fullRange: range === 0 ? null : range === 2,
      siting: SITINGS[word(4)] ?? null,
      rotation: word(5) as Rotation,
      isMirrored: word(6) !== 0,
    }
  }
}

/** Values of AVChromaLocation. */
const SITINGS = [null, 'left', 'center', 'topleft'] as const
