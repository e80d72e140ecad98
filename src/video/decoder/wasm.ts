/**
 * Decoding by FFmpeg in WebAssembly (decoder/): the same planes in every runtime. The module is an
 * optional part of the package, and loaded only when a video needs it.
 */
import { asBytes } from '../../base/realm.ts'
import { breathe, builtinModule } from '../../platform/platform.ts'
import { checkSize, type Plane, planeShapes } from '../frame.ts'
import { pixelFormat } from './pixelFormat.ts'
import { type Decoded, DecoderFault, firstLine, type Track } from './track.ts'

/** What decoder/decoder.c exports; texts are addresses of bytes that end with a zero. */
interface Exports {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  pictureAt(): number
  reason(code: number): number
  room(bytes: number): number
  start(codec: number, header: number, size: number, width: number, height: number): number
  send(data: number, size: number, index: number): number
  receive(): number
}

/** mediabunny's names under FFmpeg's. AV1 is left to those who have a decoder for it. */
const CODECS: Readonly<Record<string, string>> = {
  avc: 'h264',
  hevc: 'hevc',
  vp8: 'vp8',
  vp9: 'vp9',
  mjpeg: 'mjpeg',
}
/** What `receive` says. */
const PICTURE = 0
/** Bytes of the largest packet that is believed. */
const MAX_PACKET = 2 ** 28
/** Characters of the module's address in a message. */
const LONGEST_ADDRESS = 80
/** Milliseconds of work after which the event loop may turn. */
const PAUSE = 4

/**
 * Every picture of the track, in order of presentation.
 * @param url where the module is, instead of beside this code
 * @throws DecoderFault when the module is not there, does not know the codec, or reports damage
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
  const module = await compiled(
    new URL(url ?? 'decoder.wasm', url === undefined ? import.meta.url : globalThis.location?.href),
  )
  signal.throwIfAborted()
  const decoder = await Decoder.start(module, codec, track.config)
  let breathed = performance.now()
  try {
    for await (const packet of track.packets()) {
      signal.throwIfAborted()
      decoder.send(packet.data, packet.timestamp)
      for (let next = decoder.receive(); next; next = decoder.receive()) yield next
      if (performance.now() - breathed < PAUSE) continue
      await breathe()
      breathed = performance.now()
    }
    decoder.send(null)
    for (let next = decoder.receive(); next; next = decoder.receive()) yield next
  } catch (error) {
    // Whatever hostile bytes do to FFmpeg ends as a trap inside its own memory.
    if (error instanceof WebAssembly.RuntimeError)
      throw new DecoderFault(`the WebAssembly decoder broke down (${firstLine(error.message)})`, {
        cause: error,
      })
    throw error
  }
}

const modules = new Map<string, Promise<WebAssembly.Module>>()

/** The module at an address, fetched and compiled once. */
function compiled({ href, protocol }: URL): Promise<WebAssembly.Module> {
  let found = modules.get(href)
  if (found === undefined) {
    found = bytesAt(href, protocol).then((bytes) => WebAssembly.compile(bytes))
    modules.set(href, found)
    found.catch(() => modules.delete(href))
  }
  return found.catch((error: Error) => {
    const address = href.replace(/[?#].*/, '')
    const place = address.length > LONGEST_ADDRESS ? `…${address.slice(-LONGEST_ADDRESS)}` : address
    const reason = firstLine(error.message.split(',')[0]!)
    throw new DecoderFault(`there is no decoder.wasm at ${place} (${reason})`, {
      progress: 'missing',
      cause: error,
    })
  })
}

async function bytesAt(href: string, protocol: string): Promise<Uint8Array<ArrayBuffer>> {
  const fs = protocol === 'file:' ? builtinModule('node:fs/promises') : undefined
  if (fs !== undefined) return new Uint8Array(await fs.readFile(new URL(href)))
  const response = await fetch(href)
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** One instance of the module. */
class Decoder {
  readonly #wasm: Exports
  /** Times of packets whose pictures have not come out; those of hidden ones never do. */
  readonly #times = new Map<number, number>()
  #sent = 0
  /** Where packets lie, and how many bytes fit there. */
  #room = 0
  #size = 0

  private constructor(wasm: Exports) {
    this.#wasm = wasm
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
    const name = decoder.#put(new TextEncoder().encode(`${codec}\0`))
    const header = asBytes(config.description) ?? new Uint8Array(0)
    decoder.#check(
      wasm.start(
        name,
        decoder.#put(header),
        header.length,
        config.codedWidth ?? 0,
        config.codedHeight ?? 0,
      ),
    )
    return decoder
  }

  /** A packet and its time, or null after the last. */
  send(packet: Uint8Array | null, time = 0): void {
    if (packet === null) {
      this.#check(this.#wasm.send(0, 0, 0))
      return
    }
    if (packet.length > MAX_PACKET) throw new DecoderFault(`a packet has ${packet.length} bytes`)
    if (packet.length > this.#size) {
      this.#size = 2 * packet.length
      this.#room = this.#allocate(this.#size)
    }
    const at = this.#room
    const bytes = new Uint8Array(this.#wasm.memory.buffer)
    bytes.set(packet, at)
    bytes.fill(0, at + packet.length, at + packet.length + 64)
    this.#times.set(this.#sent, time)
    this.#check(this.#wasm.send(at, packet.length, this.#sent++))
  }

  /** The next picture that came out; null when there is none yet. */
  receive(): Decoded | null {
    return this.#check(this.#wasm.receive()) === PICTURE ? this.#copy() : null
  }

  #copy(): Decoded {
    const at = this.#wasm.pictureAt()
    const view = new DataView(this.#wasm.memory.buffer, at)
    const field = (slot: number): number => view.getInt32(4 * slot, true)
    const name = this.#text(field(0))
    const [width, height, index] = [field(1), field(2), field(3)]
    const known = pixelFormat(name)
    if (known === null)
      throw new DecoderFault(`FFmpeg gives the pixel format ${name}, which is not read`)
    checkSize('A picture of FFmpeg', width, height)
    const planes: Plane[] = planeShapes(known.format, width, height).map(
      ({ stride, rows }, plane) => {
        const from = field(4 + 2 * plane)
        const pitch = field(5 + 2 * plane)
        const data = new Uint8Array(stride * rows)
        for (let row = 0; row < rows; row++)
          data.set(
            new Uint8Array(this.#wasm.memory.buffer, from + row * pitch, stride),
            row * stride,
          )
        return { data, stride }
      },
    )
    const time = this.#times.get(index)!
    this.#times.delete(index)
    return { ...known, width, height, planes, time }
  }

  #check(code: number): number {
    if (code >= 0) return code
    const reason = firstLine(this.#text(this.#wasm.reason(code)))
    throw new DecoderFault(`FFmpeg reports ${reason}`)
  }

  #put(bytes: Uint8Array): number {
    const at = this.#allocate(bytes.length)
    new Uint8Array(this.#wasm.memory.buffer).set(bytes, at)
    return at
  }

  #allocate(bytes: number): number {
    const at = this.#wasm.room(bytes)
    if (at === 0) throw new DecoderFault(`FFmpeg has no room for ${bytes} bytes`)
    return at
  }

  #text(at: number): string {
    const bytes = new Uint8Array(this.#wasm.memory.buffer, at)
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)))
  }
}

/**
 * Functions of the system that FFmpeg is linked with and never needs here: each says that it is not
 * there.
 */
function hostOf(module: WebAssembly.Module): WebAssembly.Imports {
  const host: Record<string, Record<string, () => number>> = {}
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    if (kind === 'function') (host[from] ??= {})[name] = () => NOT_THERE
  return host
}

/** ENOSYS of WASI. */
const NOT_THERE = 52
