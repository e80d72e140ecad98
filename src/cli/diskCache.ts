/**
 * Arrays on disk, in the user's cache folder. The oldest ones are removed beyond a bound. A fault
 * of the disk disables the cache and does no other harm.
 */
import type { NdArray } from '../base/array.ts'
import { crc32 } from '../base/crc32.ts'

/** An array as it is kept. */
export type Kept = NdArray<Uint8Array> | NdArray<Float32Array>

/** Text before the bytes of an array. The padding aligns the bytes. */
interface Header {
  readonly dtype: 'u8' | 'f32'
  readonly shape: readonly number[]
  readonly crc32: number
}

const HEADER = 256
/** Part of the bound that is left when room is made, so that it is not made for each entry. */
const LEFT = 0.9
const ENDING = '.array'

/** A cache folder. Entries are files that appear complete, so processes may share it. */
export class DiskCache {
  readonly #folder: string
  readonly #bound: number
  readonly #warn: (warning: string) => void
  /** Bytes of all entries. */
  #bytes: number | undefined
  #isDisabled = false

  /**
   * @param bound bytes of all entries together
   * @param warn called once, with the reason why the cache is not used
   */
  constructor(folder: string, bound: number, warn: (warning: string) => void) {
    this.#folder = folder
    this.#bound = bound
    this.#warn = warn
  }

  /** Returns an array, or undefined if it is missing. A damaged entry is removed. */
  async get(key: string): Promise<Kept | undefined> {
    if (this.#isDisabled) return undefined
    const fs = await import('node:fs/promises')
    const path = this.#pathOf(key)
    try {
      const bytes = await fs.readFile(path)
      const found = decode(bytes)
      // The time of the last use. Without permission to change it, the entry counts as older.
      if (found) await fs.utimes(path, new Date(), new Date()).catch(() => {})
      else await this.#remove(path, bytes.length)
      return found
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#disable(error)
      return undefined
    }
  }

  /** Keeps an array, and removes the entries that were not used for the longest time. */
  async put(key: string, array: Kept): Promise<void> {
    const size = HEADER + array.data.byteLength
    if (this.#isDisabled || size > this.#bound) return
    const fs = await import('node:fs/promises')
    const path = this.#pathOf(key)
    const temporary = `${path}.${process.pid}.part`
    try {
      await fs.mkdir(this.#folder, { recursive: true })
      await this.#makeRoom(size)
      await fs.writeFile(temporary, encode(array))
      await fs.rename(temporary, path)
      this.#bytes! += size
    } catch (error) {
      await fs.rm(temporary, { force: true }).catch(() => {})
      this.#disable(error)
    }
  }

  async #makeRoom(size: number): Promise<void> {
    if (this.#bytes !== undefined && this.#bytes + size <= this.#bound) return
    const fs = await import('node:fs/promises')
    const { join } = await import('node:path')
    const entries = []
    for (const name of await fs.readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const stat = await fs.stat(path).catch(() => undefined)
      if (stat?.isFile()) entries.push({ path, bytes: stat.size, used: stat.mtimeMs })
    }
    entries.sort((one, other) => one.used - other.used)
    this.#bytes = entries.reduce((sum, { bytes }) => sum + bytes, 0)
    if (this.#bytes + size <= this.#bound) return
    for (const { path, bytes } of entries) {
      if (this.#bytes + size <= LEFT * this.#bound) break
      await this.#remove(path, bytes)
    }
  }

  async #remove(path: string, bytes: number): Promise<void> {
    const { rm } = await import('node:fs/promises')
    await rm(path, { force: true })
    if (this.#bytes !== undefined) this.#bytes -= bytes
  }

  #disable(error: unknown): void {
    if (this.#isDisabled) return
    this.#isDisabled = true
    const { code, message } = error as NodeJS.ErrnoException
    this.#warn(
      `the cache in "${this.#folder}" is not used (${code ?? message}); clips are read again`,
    )
  }

  #pathOf(key: string): string {
    return `${this.#folder}/${key}${ENDING}`
  }
}

function encode({ data, shape }: Kept): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const dtype = data instanceof Uint8Array ? 'u8' : 'f32'
  const header: Header = { dtype, shape, crc32: crc32(bytes) }
  const whole = new Uint8Array(HEADER + bytes.length)
  whole.set(new TextEncoder().encode(JSON.stringify(header).padEnd(HEADER)))
  whole.set(bytes, HEADER)
  return whole
}

/** Returns undefined if the bytes are damaged. */
function decode(bytes: Uint8Array): Kept | undefined {
  try {
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, HEADER))) as Header
    const body = new Uint8Array(bytes.subarray(HEADER))
    const { dtype, shape } = header
    const count = shape.reduce((product, side) => product * side, dtype === 'f32' ? 4 : 1)
    if (crc32(body) !== header.crc32 || count !== body.length) return undefined
    return dtype === 'u8'
      ? { data: body, shape }
      : { data: new Float32Array(body.buffer, 0, body.length / 4), shape }
  } catch {
    return undefined
  }
}
