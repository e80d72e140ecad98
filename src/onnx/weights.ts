import type { MatrixDType } from '../backend/backend.ts'
import type { Reader } from '../checkpoint/reader.ts'
import type { Config } from '../model/config.ts'
import { loadWeights } from '../model/load.ts'
import type { Target } from '../model/writers.ts'

/** Values of the weights of a program by name, row-major [blocks, rows, columns]. */
export type Weights = ReadonlyMap<string, Float32Array>

/** Reads every weight that the graph of a model uses, for runtimes other than this one. */
export async function collectWeights(
  checkpoint: Reader,
  config: Config,
  options: {
    readonly dtype?: MatrixDType
    readonly onProgress?: (done: number, total: number) => void
    readonly signal?: AbortSignal
  } = {},
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>()
  const collector: Target = {
    write({ name, blocks, rows, columns }, values, first, width, at) {
      const weight = weights.get(name) ?? new Float32Array(blocks * rows * columns)
      weights.set(name, weight)
      for (let done = 0; done < values.length; ) {
        const [row, column] = [Math.floor((first + done) / width), (first + done) % width]
        const part = values.subarray(done, done + width - column)
        weight.set(part, row * columns + at + column)
        done += part.length
      }
    },
  }
  await loadWeights(checkpoint, config, collector, options)
  return weights
}

/**
 * Returns columns from..from+count−1 of a matrix with this number of rows. Returns the matrix
 * itself, not a copy, if these are all columns.
 */
export function takeColumns(
  values: Float32Array,
  rows: number,
  from: number,
  count: number,
): Float32Array {
  const width = values.length / rows
  if (width === count) return values
  const part = new Float32Array(rows * count)
  for (let row = 0; row < rows; row++)
    part.set(values.subarray(row * width + from, row * width + from + count), row * count)
  return part
}
