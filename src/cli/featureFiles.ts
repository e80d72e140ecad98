/** Writes features of a video as NumPy files. */
import { encodeNpy, encodeNpz } from '../checkpoint/npy.ts'
import type { Config } from '../model/config.ts'
import type { Output } from './output.ts'

/** Writes the features of a video frame by frame. */
export interface FeatureWriter {
  /** @param values features of one frame; the array may be reused once the promise resolves */
  add(output: Output, values: Float32Array, time: number): Promise<void>
  end(output: Output): Promise<void>
}

/** Pools tokens [n, d] to [d]. The mean excludes the class token. */
export function pool(
  tokens: Float32Array,
  how: 'tok' | 'gap' | undefined,
  { width, poolType }: Config,
): Float32Array {
  if (!how) return tokens
  if (how === 'tok') return tokens.subarray(0, width)
  const first = poolType === 'tok' ? width : 0
  return Float32Array.from({ length: width }, (_, column) => {
    let sum = 0
    for (let i = first + column; i < tokens.length; i += width) sum += tokens[i]!
    return sum / ((tokens.length - first) / width)
  })
}

/**
 * Writes an .npy file frame by frame, in constant memory. The header contains the number of frames,
 * so it is written again at the end.
 */
export class NpyWriter implements FeatureWriter {
  readonly #rowShape: readonly number[]
  readonly #header: Uint8Array
  #count: number

  /**
   * @param rowShape shape of the features of a frame
   * @param count frames that the file has already
   */
  constructor(rowShape: readonly number[], count = 0) {
    this.#rowShape = rowShape
    this.#header = encodeNpy(new Float32Array(0), [0, ...rowShape])
    this.#count = count
  }

  /** Returns the size of a file with so many frames, in bytes. */
  sizeOf(frames: number): number {
    const row = this.#rowShape.reduce((product, side) => product * side, 4)
    return frames === 0 ? 0 : this.#header.length + frames * row
  }

  async add(output: Output, values: Float32Array): Promise<void> {
    if (this.#count++ === 0) await output.write(this.#header)
    await output.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }

  async end(output: Output): Promise<void> {
    // The digits of the count replace padding. The header always has enough.
    const head = this.#header.subarray(0, 10)
    const text = new TextDecoder('latin1')
      .decode(this.#header.subarray(10))
      .replace('(0,', `(${this.#count},`)
    const padded = `${text.trimEnd().padEnd(this.#header.length - 11)}\n`
    await output.write(Uint8Array.from([...head, ...new TextEncoder().encode(padded)]), 0)
  }
}

/** Writes an .npz file. A zip has the checksum before the data, so all features stay in memory. */
export class NpzWriter implements FeatureWriter {
  readonly #rowShape: readonly number[]
  readonly #rows: Float32Array[] = []
  readonly #times: number[] = []

  /** @param rowShape shape of the features of a frame */
  constructor(rowShape: readonly number[]) {
    this.#rowShape = rowShape
  }

  async add(_: Output, values: Float32Array, time: number): Promise<void> {
    this.#rows.push(values.slice())
    this.#times.push(time)
  }

  async end(output: Output): Promise<void> {
    const { length } = this.#rows
    const size = this.#rowShape.reduce((product, side) => product * side, 1)
    const data = new Float32Array(length * size)
    this.#rows.forEach((values, index) => data.set(values, index * size))
    await output.write(
      encodeNpz([
        ['features', { data, shape: [length, ...this.#rowShape] }],
        ['time', { data: Float32Array.from(this.#times), shape: [length] }],
      ]),
    )
  }
}
