/**
 * Decodes with FFmpeg in WebAssembly (decoder.c). The planes are identical in every runtime. The
 * module is an optional part of the package. It is loaded only for a video that needs it.
 */
import { asBytes } from '../../base/realm.ts'
import { yieldToEventLoop } from '../../platform/platform.ts'
import { type Decoded, DecoderFault, firstLine, type Track } from './track.ts'
import { type Common, PICTURE, WasmMemory } from './wasmMemory.ts'
import { hostOf, wasmModule } from './wasmModule.ts'

/** Exports of decoder.c. */
interface Exports extends Common {
  start(codec: number, header: number, size: number, width: number, height: number): number
  send(data: number, size: number, index: number): number
  receive(): number
}

/** FFmpeg's codec names by mediabunny's. AV1 is not included; other decoders support it. */
const CODECS: Readonly<Record<string, string>> = {
  avc: 'h264',
  hevc: 'hevc',
  vp8: 'vp8',
  vp9: 'vp9',
  mjpeg: 'mjpeg',
}
/** Largest accepted packet in bytes. */
const MAX_PACKET = 2 ** 28
/** Milliseconds of work before yielding to the event loop. */
const PAUSE = 4

/**
 * Yields every picture of the track, in order of presentation.
 * @param url URL of the module, by default beside this code
 * @throws DecoderFault if the module is missing, does not support the codec, or reports damage
 */
export async function* decodeWasm(
  track: Track,
  signal: AbortSignal,
  url?: string | URL,
): AsyncGenerator<Decoded> {
  const codec = CODECS[track.kind]
  if (codec === undefined)
    throw new DecoderFault(`the WebAssembly decoder does not know ${track.codec.label}`, {
      progress: 'refused',
    })
  const module = await wasmModule(url)
  signal.throwIfAborted()
  const decoder = await Decoder.start(module, codec, track.config)
  let yieldedAt = performance.now()
  try {
    for await (const packet of track.packets()) {
      signal.throwIfAborted()
      decoder.send(packet.data, packet.timestamp)
      for (let next = decoder.receive(); next; next = decoder.receive()) yield next
      if (performance.now() - yieldedAt < PAUSE) continue
      await yieldToEventLoop()
      yieldedAt = performance.now()
    }
    decoder.send(null)
    for (let next = decoder.receive(); next; next = decoder.receive()) yield next
  } catch (error) {
    throw asFault(error)
  }
}

/**
 * Decodes a packet that holds one picture.
 * @throws DecoderFault if it is damaged
 */
export async function decodeOne(
  module: WebAssembly.Module,
  codec: string,
  packet: Uint8Array,
): Promise<Decoded> {
  try {
    const decoder = await Decoder.start(module, codec, { codec })
    decoder.send(packet)
    const first = decoder.receive()
    if (first !== null) return first
    decoder.send(null)
    const last = decoder.receive()
    if (last !== null) return last
  } catch (error) {
    throw asFault(error)
  }
  throw new DecoderFault('it has no picture')
}

/** Converts a trap of the module to a DecoderFault. */
export function asFault(error: unknown): unknown {
  if (!(error instanceof WebAssembly.RuntimeError)) return error
  return new DecoderFault(`the WebAssembly decoder broke down (${firstLine(error.message)})`, {
    cause: error,
  })
}

/** One instance of the module. */
class Decoder {
  readonly #wasm: Exports
  readonly #memory: WasmMemory
  /** Times of packets without a picture yet. Hidden frames never get one. */
  readonly #times = new Map<number, number>()
  #sent = 0
  /** Address of the packet buffer. `#size` is its size in bytes. */
  #room = 0
  #size = 0

  private constructor(wasm: Exports) {
    this.#wasm = wasm
    this.#memory = new WasmMemory(wasm)
  }

  static async start(
    module: WebAssembly.Module,
    codec: string,
    config: VideoDecoderConfig,
  ): Promise<Decoder> {
    const { exports } = await WebAssembly.instantiate(module, hostOf(module))
    const wasm = exports as unknown as Exports
    wasm._initialize()
    const decoder = new Decoder(wasm)
    const memory = decoder.#memory
    const name = memory.put(new TextEncoder().encode(`${codec}\0`))
    const header = asBytes(config.description) ?? new Uint8Array(0)
    const { codedWidth = 0, codedHeight = 0 } = config
    const at = memory.put(header)
    memory.check(wasm.start(name, at, header.length, codedWidth, codedHeight))
    return decoder
  }

  /** Decodes a packet with a time, or null after the last packet. */
  send(packet: Uint8Array | null, time = 0): void {
    if (packet === null) {
      this.#memory.check(this.#wasm.send(0, 0, 0))
      return
    }
    if (packet.length > MAX_PACKET) throw new DecoderFault(`a packet has ${packet.length} bytes`)
    if (packet.length > this.#size) {
      this.#size = 2 * packet.length
      this.#room = this.#memory.allocate(this.#size)
    }
    const at = this.#room
    const { bytes } = this.#memory
    bytes.set(packet, at)
    bytes.fill(0, at + packet.length, at + packet.length + 64)
    this.#times.set(this.#sent, time)
    this.#memory.check(this.#wasm.send(at, packet.length, this.#sent++))
  }

  /** Returns the next decoded picture; null if none is ready. */
  receive(): Decoded | null {
    if (this.#memory.check(this.#wasm.receive()) !== PICTURE) return null
    const { index, ...picture } = this.#memory.picture()
    const time = this.#times.get(index)!
    this.#times.delete(index)
    return { ...picture, time }
  }
}
