/**
 * The linear memory of one instance of the module: copies bytes in and pictures out.
 */
import { checkSize, type Plane, planeShapes } from '../frame.ts'
import { isPacked, type Lines, unpack } from './packed.ts'
import { type PixelFormat, pixelFormat } from './pixelFormat.ts'
import { DecoderFault, firstLine } from './track.ts'

/** Exports that decoder.c and reader.c share. Strings are addresses of zero-terminated bytes. */
export interface Common {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  pictureAt(): number
  reason(code: number): number
  room(bytes: number): number
}

/** Results of `receive` and `nextPicture`. */
export const PICTURE = 0
export const NEEDS_INPUT = 1

/** A picture in memory of the host. `index` is that of its packet. */
export interface CopiedPicture extends PixelFormat {
  readonly width: number
  readonly height: number
  readonly planes: Plane[]
  readonly index: number
}

/** Index of the first plane in the record: four numbers, then address and stride of each plane. */
const PLANES = 4

/** The memory of one instance. */
export class WasmMemory {
  readonly #wasm: Common

  constructor(wasm: Common) {
    this.#wasm = wasm
  }

  /** All bytes. The view is valid until the next call of the module. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#wasm.memory.buffer)
  }

  view(at: number): DataView {
    return new DataView(this.#wasm.memory.buffer, at)
  }

  /** Reads the string at an address. */
  text(at: number): string {
    const { bytes } = this
    return new TextDecoder().decode(bytes.slice(at, bytes.indexOf(0, at)))
  }

  /** @throws DecoderFault if the code is negative */
  check(code: number): number {
    if (code >= 0) return code
    const reason = firstLine(this.text(this.#wasm.reason(code)))
    throw new DecoderFault(`FFmpeg reports ${reason}`)
  }

  /** Copies bytes into the memory and returns their address. */
  put(bytes: Uint8Array): number {
    const at = this.allocate(bytes.length)
    this.bytes.set(bytes, at)
    return at
  }

  allocate(bytes: number): number {
    const at = this.#wasm.room(bytes)
    if (at === 0) throw new DecoderFault(`FFmpeg has no room for ${bytes} bytes`)
    return at
  }

  /** Copies the last picture. */
  picture(): CopiedPicture {
    const view = this.view(this.#wasm.pictureAt())
    const field = (slot: number): number => view.getInt32(4 * slot, true)
    const name = this.text(field(0))
    const [width, height, index] = [field(1), field(2), field(3)]
    const known = pixelFormat(name)
    if (known === null && !isPacked(name))
      throw new DecoderFault(`FFmpeg gives the pixel format ${name}, which is not read`)
    checkSize('A picture of FFmpeg', width, height)
    const lines = (plane: number): Lines => ({
      at: field(PLANES + 2 * plane),
      stride: field(PLANES + 2 * plane + 1),
    })
    if (known === null) {
      const unpacked = unpack(name, this.bytes, lines(0), lines(1).at, width, height)
      return { ...unpacked, width, height, index }
    }
    const planes = planeShapes(known.format, width, height).map(({ stride, rows }, plane) =>
      copyRows(this.bytes, lines(plane), stride, rows),
    )
    return { ...known, width, height, index, planes }
  }
}

function copyRows(bytes: Uint8Array, lines: Lines, stride: number, rows: number): Plane {
  const data = new Uint8Array(stride * rows)
  for (let row = 0; row < rows; row++) {
    const from = lines.at + row * lines.stride
    data.set(bytes.subarray(from, from + stride), row * stride)
  }
  return { data, stride }
}
