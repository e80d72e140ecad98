import type { MatrixDType } from '../backend/backend.ts'
import { TrecvitError } from '../base/error.ts'
import type { Reader } from '../checkpoint/reader.ts'
import { scalesOf, sizeOf } from '../program/program.ts'
import type { Config } from './config.ts'
import { Hash } from './fingerprint.ts'
import { int8Parameters, parametersOf, weightTable } from './weights.ts'
import {
  derivedWriters,
  floatWriter,
  halfWriter,
  int8Writer,
  type Target,
  type Writer,
} from './writers.ts'

/** Largest number of values of a tensor that are hashed for the fingerprint. */
const SAMPLES = 4096

/** Results of loading, besides the weights. */
export interface Loaded {
  /**
   * Identifies the model in 64 bits, as 16 hexadecimal digits: a hash of the configuration and of
   * up to 4096 values of each tensor.
   */
  readonly fingerprint: string
  /** Warnings about values that are not finite. */
  readonly warnings: readonly string[]
}

/** Options for loading weights. */
interface WeightOptions {
  /** Number format of the matrices. */
  readonly dtype?: MatrixDType
  /** Called with the loaded bytes of float32 values, and their total. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads every tensor of a checkpoint, in the order of the file, and writes the backend's weights.
 * @throws TrecvitError if a tensor has no floating-point values, or a matrix has a value beyond the
 * range of float16
 */
export async function loadWeights(
  checkpoint: Reader,
  config: Config,
  target: Target,
  { dtype = 'f32', onProgress, signal }: WeightOptions = {},
): Promise<Loaded> {
  const parameters = new Map(
    parametersOf(config).map(({ name, shape }) => [name, sizeOf(shape)] as const),
  )
  const storedScales = await readScales(checkpoint, signal)
  const int8 = int8Parameters(config)
  const writers = writersOf(checkpoint, config, target, dtype, parameters, storedScales)
  const total = [...parameters.values()].reduce((sum, size) => sum + 4 * size, 0)
  const digests = new Map<string, string>()
  const warnings: string[] = []
  let done = 0

  for (const { name, dtype: stored } of checkpoint.tensors.values()) {
    const size = parameters.get(name)
    if (size === undefined) continue
    const scales = storedScales.get(name)
    if (!/^b?f\d/.test(stored) && !scales)
      throw new TrecvitError(
        `"${name}" in ${checkpoint.name} expected floating-point values, got ${stored}`,
      )
    const step = Math.ceil(size / SAMPLES)
    const hash = new Hash(name)
    let broken = 0
    await checkpoint.read(
      name,
      (values, at) => {
        if (scales && dtype !== 'int8') expand(values, at, size, int8.get(name)!, scales)
        for (const writer of writers.get(name)!) writer.add(values, at)
        hash.add(values, (step - (at % step)) % step, step)
        broken += notFinite(values)
        done += values.byteLength
        onProgress?.(done, total)
      },
      signal,
    )
    for (const writer of writers.get(name)!) writer.end?.()
    if (broken)
      warnings.push(`"${name}" in ${checkpoint.name} has ${broken} values that are not finite`)
    digests.set(name, hash.digest())
  }
  // Hashed in the order of the model. So two files with the same tensors in another order have the
  // same fingerprint.
  const fingerprint = new Hash(JSON.stringify(parametersOf(config)))
  for (const name of parameters.keys()) fingerprint.text(digests.get(name)!)
  return { fingerprint: fingerprint.digest(), warnings }
}

/** Returns the writers of each tensor of a checkpoint. */
function writersOf(
  { tensors }: Reader,
  config: Config,
  target: Target,
  dtype: MatrixDType,
  sizes: ReadonlyMap<string, number>,
  storedScales: ReadonlyMap<string, Float32Array>,
): Map<string, Writer[]> {
  const writers = new Map<string, Writer[]>(Array.from(sizes.keys(), (name) => [name, []]))
  const table = weightTable(config, dtype)
  const byName = new Map(table.map((weight) => [weight.name, weight]))
  for (const weight of table) {
    if ('derive' in weight) {
      const each = weight.parameters.map((name) => sizes.get(name)!)
      derivedWriters(target, weight, each).forEach((writer, index) => {
        writers.get(weight.parameters[index]!)!.push(writer)
      })
      continue
    }
    for (const part of weight.parts) {
      const { parameter, columns } = part
      const own = writers.get(parameter)!
      if (weight.kind === 'int8') {
        const scaleWeight = byName.get(scalesOf(weight.name))!
        // The scales of the part that comes before it in the same tensor are stored first.
        const count = weight.blocks * columns
        const first = own.length * count
        const scales = storedScales.get(parameter)?.subarray(first, first + count)
        own.push(int8Writer(target, weight, scaleWeight, part, scales))
      } else if (
        weight.kind === 'matrix' &&
        dtype === 'f16' &&
        tensors.get(parameter)?.dtype !== 'f16'
      )
        own.push(halfWriter(target, weight, part))
      else own.push(floatWriter(target, weight, part))
    }
  }
  return writers
}

/** Reads the scales of matrices that are stored as int8 values, for each column of each part. */
async function readScales(
  checkpoint: Reader,
  signal: AbortSignal | undefined,
): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>()
  for (const { name, dtype } of checkpoint.tensors.values()) {
    const scales = checkpoint.tensors.get(scalesOf(name))
    if (dtype !== 'i8' || !scales) continue
    const values = new Float32Array(sizeOf(scales.shape))
    await checkpoint.read(scales.name, (part, at) => values.set(part, at), signal)
    found.set(name, values)
  }
  return found
}

/** Multiplies int8 values, in place, by the scales of their blocks and columns. */
function expand(
  values: Float32Array,
  at: number,
  size: number,
  { blocks, columns }: { readonly blocks: number; readonly columns: number },
  scales: Float32Array,
): void {
  const block = size / blocks
  for (let i = 0; i < values.length; i++)
    values[i] = values[i]! * scales[Math.floor((at + i) / block) * columns + ((at + i) % columns)]!
}

/**
 * Returns the number format in which a checkpoint stores matrices: int8 if any is int8, float16 if
 * all are.
 */
export function storedDType(tensors: Reader['tensors'], config: Config): MatrixDType {
  if (
    [...tensors.values()].some(({ name, dtype }) => dtype === 'i8' && tensors.has(scalesOf(name)))
  )
    return 'int8'
  const parts = weightTable(config).flatMap((weight) =>
    weight.kind === 'matrix' && 'parts' in weight ? weight.parts : [],
  )
  return parts.every(({ parameter }) => tensors.get(parameter)?.dtype === 'f16') ? 'f16' : 'f32'
}

function notFinite(values: Float32Array): number {
  let count = 0
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) count++
  return count
}
