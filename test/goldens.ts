/**
 * The golden arrays in test/goldens, and comparisons with them. Their origin is documented in
 * goldens/make.py.
 */
import { expect } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { sizeOf } from '../src/program/program.ts'
import manifest from './goldens/manifest.json' with { type: 'json' }

/** An array of a golden file. */
export interface Golden {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

interface Expected {
  readonly shape: readonly number[]
  readonly tolerance: number
  /**
   * Reference value of the tolerance: the largest value of the array, the largest value of the row,
   * or max(1, |want|) of the element.
   */
  readonly compare: 'array' | 'row' | 'element'
}

/** Returns the URL of a file in test/goldens. */
export function goldenUrl(file: string): URL {
  return new URL(`./goldens/${file}`, import.meta.url)
}

/** One golden file, with the largest errors of the results that were compared. */
export class Goldens {
  readonly file: string
  /** Names of the arrays. */
  readonly names: readonly string[]
  readonly #arrays: ReadonlyMap<string, Golden>
  readonly #expected: Readonly<Record<string, Expected>>
  readonly #ratios = new Map<string, number>()

  private constructor(
    file: string,
    arrays: ReadonlyMap<string, Golden>,
    expected: Readonly<Record<string, Expected>>,
  ) {
    this.file = file
    this.names = [...arrays.keys()]
    this.#arrays = arrays
    this.#expected = expected
  }

  static async open(file: string): Promise<Goldens> {
    const checkpoint = await openCheckpoint(goldenUrl(file))
    const arrays = new Map<string, Golden>()
    for (const { name, shape } of checkpoint.tensors.values()) {
      const values = new Float32Array(sizeOf(shape))
      await checkpoint.read(name, (part, at) => values.set(part, at))
      arrays.set(name, { shape, values })
    }
    await checkpoint.close()
    return new Goldens(
      file,
      arrays,
      (manifest as Record<string, Record<string, Expected>>)[file] ?? {},
    )
  }

  /** Returns an array by name. Bytes are numbers 0..255. */
  get(name: string): Golden {
    const found = this.#arrays.get(name)
    if (!found) throw new Error(`${this.file} has no array "${name}"`)
    return found
  }

  /** Names of the arrays that have not been compared yet. */
  get unseen(): string[] {
    return Object.keys(this.#expected).filter((name) => !this.#ratios.has(name))
  }

  /**
   * Returns error / tolerance of a result, at most 1 if it is correct. `shape` is the shape of the
   * result, needed if the golden array has only every n-th token.
   */
  ratio(name: string, got: Float32Array, shape?: readonly number[]): number {
    const { values: want, shape: wantShape } = this.get(name)
    const { tolerance, compare } = this.#expected[name]!
    const values = shape ? thin(got, shape, wantShape) : got
    if (values.length !== want.length)
      throw new Error(`"${name}" in ${this.file} has ${want.length} values, not ${values.length}`)
    const row =
      compare === 'array' ? want.length : compare === 'row' ? wantShape[wantShape.length - 1]! : 1
    let ratio = 0
    for (let at = 0; at < want.length; at += row) {
      let error = 0
      let largest = compare === 'element' ? 1 : 0
      for (let i = at; i < at + row; i++) {
        error = Math.max(error, Math.abs(values[i]! - want[i]!))
        largest = Math.max(largest, Math.abs(want[i]!))
      }
      ratio = Math.max(ratio, error / (tolerance * (largest || 1)))
    }
    return ratio
  }

  /** Asserts that a result is within the tolerance. */
  expect(name: string, got: Float32Array, shape?: readonly number[]): void {
    const ratio = this.ratio(name, got, shape)
    this.#ratios.set(name, Math.max(ratio, this.#ratios.get(name) ?? 0))
    expect(ratio, `error of "${name}" in ${this.file}, in tolerances`).toBeLessThanOrEqual(1)
  }

  /** Returns one line: the number of compared arrays, and the largest error / tolerance. */
  report(): string {
    const [worst, ratio] = [...this.#ratios].reduce(
      (one, other) => (other[1] > one[1] ? other : one),
      ['', 0],
    )
    return (
      `${this.file.padEnd(20)} ${String(this.#ratios.size).padStart(3)} arrays, ` +
      `worst error ${ratio.toFixed(3)} of the tolerance  ${worst}`
    )
  }
}

/**
 * Selects every n-th index of the first axis that is too long, including the first and the last.
 */
function thin(
  values: Float32Array,
  shape: readonly number[],
  want: readonly number[],
): Float32Array {
  const axis = shape.findIndex((side, index) => side !== want[index])
  if (axis < 0 || values.length === sizeOf(want)) return values
  const inner = sizeOf(shape.slice(axis + 1))
  const every = (shape[axis]! - 1) / (want[axis]! - 1)
  return values.filter((_, at) => (Math.floor(at / inner) % shape[axis]!) % every === 0)
}
