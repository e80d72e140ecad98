import type { Backend, MatrixDType } from '../backend/backend.ts'
import { TrecvitError } from '../base/error.ts'
import { fromHalves, toHalves } from '../base/f16.ts'
import { quantize } from '../base/int8.ts'
import type { Reader } from '../checkpoint/checkpoint.ts'
import { scalesOf, sizeOf } from '../program/program.ts'
import type { Config } from './config.ts'
import { type Part, parametersOf, type WeightSource, weightTable } from './weights.ts'

/** Values of a tensor that go into the fingerprint. */
const SAMPLES = 4096

/** What loading found out. */
export interface Loaded {
  /**
   * Tells this model from others in 64 bits, as 16 hexadecimal digits: configuration, and up to
   * 4096 values of each tensor.
   */
  readonly fingerprint: string
  /** Sentences about values that are not numbers. */
  readonly warnings: readonly string[]
}

/**
 * Streams every tensor of a checkpoint, in the order of the file, into the backend's weights; only
 * the few small tensors that a derived weight is made of are held.
 * @param dtype what matrices are rounded to, so that every backend computes with the same numbers
 * @param onProgress bytes of float32 values done, and of all
 * @throws TrecvitError if a tensor holds no floating-point values, or a matrix one that is beyond
 * float16
 */
export async function loadWeights(
  checkpoint: Reader,
  config: Config,
  backend: Pick<Backend, 'write'>,
  {
    dtype = 'f32',
    onProgress,
    signal,
  }: {
    dtype?: MatrixDType
    onProgress?: ((done: number, total: number) => void) | undefined
    signal?: AbortSignal | undefined
  } = {},
): Promise<Loaded> {
  const uses = new Map<string, { weight: WeightSource; part: Part }[]>()
  const held = new Map<string, Float32Array>()
  const table = weightTable(config, dtype)
  const byName = new Map(table.map((weight) => [weight.name, weight]))
  for (const weight of table) {
    if ('parts' in weight)
      for (const part of weight.parts)
        uses.set(part.parameter, [...(uses.get(part.parameter) ?? []), { weight, part }])
    else for (const parameter of weight.parameters) held.set(parameter, new Float32Array(0))
  }
  const storedScales = await readScales(checkpoint, signal)
  const parameters = new Map(parametersOf(config).map((parameter) => [parameter.name, parameter]))
  const total = [...parameters.values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
  const hash = new Hash(JSON.stringify(parametersOf(config)))
  const digests = new Map<string, string>()
  const warnings: string[] = []
  let done = 0

  for (const info of checkpoint.tensors.values()) {
    const parameter = parameters.get(info.name)
    if (!parameter) continue
    const scales = storedScales.get(info.name)
    if (!/^b?f\d/.test(info.dtype) && !scales)
      throw new TrecvitError(
        `"${info.name}" in ${checkpoint.name} expected floating-point values, got ${info.dtype}`,
      )
    const size = sizeOf(parameter.shape)
    const used = uses.get(info.name) ?? []
    const whole = used.some(({ weight }) => weight.kind === 'int8')
      ? new Float32Array(size)
      : undefined
    const step = Math.ceil(size / SAMPLES)
    const own = new Hash(info.name)
    const keep = held.has(info.name) ? new Float32Array(size) : undefined
    let broken = 0
    await checkpoint.read(
      info.name,
      (values, at) => {
        keep?.set(values, at)
        whole?.set(values, at)
        if (scales && !whole) expand(values, at, used[0]!.part.columns, size / used.length, scales)
        const halves =
          dtype === 'f16' &&
          info.dtype !== 'f16' &&
          used.some(({ weight }) => weight.kind === 'matrix')
            ? rounded(info.name, values)
            : values
        if (!whole)
          for (const { weight, part } of used)
            writePart(backend, weight, part, weight.kind === 'matrix' ? halves : values, at)
        own.add(values, (step - (at % step)) % step, step)
        broken += notFinite(values)
        done += values.byteLength
        onProgress?.(done, total)
      },
      signal,
    )
    if (keep) held.set(info.name, keep)
    if (whole) {
      used.forEach(({ weight, part }, index) => {
        const values = whole.subarray(part.from, part.from + weight.rows * part.columns)
        const own = scales?.subarray(index * part.columns, (index + 1) * part.columns)
        const made = own
          ? { values: Int8Array.from(values), scales: own }
          : quantize(values, part.columns)
        backend.write(weight, made.values, 0, part.columns, part.at)
        backend.write(byName.get(scalesOf(weight.name))!, made.scales, 0, part.columns, part.at)
      })
    }
    if (broken)
      warnings.push(
        `"${info.name}" in ${checkpoint.name} has ${broken} values that are not finite ` +
          'numbers; the answers will not be either',
      )
    digests.set(info.name, own.digest())
  }
  for (const weight of table) {
    if ('derive' in weight)
      backend.write(
        weight,
        weight.derive(weight.parameters.map((name) => held.get(name)!)),
        0,
        weight.columns,
        0,
      )
  }
  // In the order of the model, so that two files with the same tensors in another order are the
  // same model.
  for (const name of parameters.keys()) hash.text(digests.get(name)!)
  return { fingerprint: hash.digest(), warnings }
}

/** The scales of matrices that are stored as whole numbers, for each column of each part. */
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

/**
 * In place: whole numbers times the scales of their columns. A tensor is one part of `size` values,
 * or several of the same size.
 */
function expand(
  values: Float32Array,
  at: number,
  columns: number,
  size: number,
  scales: Float32Array,
): void {
  for (let i = 0; i < values.length; i++)
    values[i] = values[i]! * scales[Math.floor((at + i) / size) * columns + ((at + i) % columns)]!
}

/** What the matrices of a checkpoint are stored as: int8 if any is, float16 if all of them are. */
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

/**
 * The elements of this chunk (`at` is the index of its first in the parameter) that belong to the
 * part.
 */
function writePart(
  backend: Pick<Backend, 'write'>,
  weight: WeightSource,
  part: Part,
  values: Float32Array,
  at: number,
): void {
  const size = weight.blocks * weight.rows * part.columns
  const from = Math.max(0, part.from - at)
  const to = Math.min(values.length, part.from + size - at)
  if (from < to)
    backend.write(weight, values.subarray(from, to), at + from - part.from, part.columns, part.at)
}

/** The values as float16 can hold them. */
function rounded(name: string, values: Float32Array): Float32Array {
  const halves = new Uint16Array(values.length)
  const near = new Float32Array(values.length)
  toHalves(values, halves)
  fromHalves(halves, near)
  const beyond = near.findIndex(
    (value, index) => !Number.isFinite(value) && Number.isFinite(values[index]!),
  )
  if (beyond >= 0)
    throw new TrecvitError(
      `"${name}" expected values up to 65504 for dtype 'f16', got ${values[beyond]}; ` +
        "use dtype 'f32'",
    )
  return near
}

function notFinite(values: Float32Array): number {
  let count = 0
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) count++
  return count
}

/**
 * Two 32-bit lanes, each multiply and rotate (the inner step of MurmurHash3). Good against
 * mistakes, not against attackers.
 */
class Hash {
  #one = 0x9747b28c
  #two = 0x3c6ef372

  constructor(text: string) {
    this.text(text)
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
  }

  /** Every step-th value, from `first` on. */
  add(values: Float32Array, first: number, step: number): void {
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
    for (let i = first; i < bits.length; i += step) this.#mix(bits[i]!)
  }

  digest(): string {
    return [this.#one, this.#two].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #mix(value: number): void {
    const k = Math.imul(value, 0xcc9e2d51)
    this.#one =
      (Math.imul(rotate(this.#one ^ Math.imul(rotate(k, 15), 0x1b873593), 13), 5) + 0xe6546b64) | 0
    this.#two =
      (Math.imul(rotate(this.#two ^ Math.imul(rotate(k, 17), 0x85ebca6b), 16), 5) + 0x38495ab5) | 0
  }
}

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits))
