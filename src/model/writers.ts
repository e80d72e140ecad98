/** Writers from a checkpoint's tensors to a backend's weights, one per kind of weight. */
import type { Backend } from '../backend/backend.ts'
import { TrecvitError } from '../base/error.ts'
import { fromHalves, toHalves } from '../base/f16.ts'
import { quantize } from '../base/int8.ts'
import type { Weight } from '../program/program.ts'
import type { Part, WeightSource } from './tensorTable.ts'

/** Where weights are written. */
export type Target = Pick<Backend, 'write'>

/**
 * Receives the values of one tensor of a checkpoint, in order, and writes a weight's share of them.
 */
export interface Writer {
  /** @param at index of the first value in the tensor; the values are valid during the call */
  add(values: Float32Array, at: number): void
  /** Called after the last values of the tensor. */
  end?(): void
}

/** Writes float32 values unchanged: rows, and matrices in float32. */
export function floatWriter(target: Target, weight: Weight, part: Part): Writer {
  return {
    add(values, at) {
      const size = weight.blocks * weight.rows * part.columns
      const from = Math.max(0, part.from - at)
      const to = Math.min(values.length, part.from + size - at)
      if (from >= to) return
      target.write(weight, values.subarray(from, to), at + from - part.from, part.columns, part.at)
    },
  }
}

/**
 * Writes a matrix rounded to half-precision, so that every backend computes with the same numbers.
 * @throws TrecvitError from `add` if a value is beyond the range of float16
 */
export function halfWriter(target: Target, weight: Weight, part: Part): Writer {
  const write: Target['write'] = (to, values, ...place) =>
    target.write(to, rounded(part.parameter, values as Float32Array), ...place)
  return floatWriter({ write }, weight, part)
}

/**
 * Writes a quantised matrix and its scales. The part is kept in memory until it is complete.
 * @param stored scales of a matrix that the checkpoint stores as int8 values
 */
export function int8Writer(
  target: Target,
  weight: Weight,
  scaleWeight: Weight,
  part: Part,
  stored: Float32Array | undefined,
): Writer {
  const { columns, at } = part
  let whole: Float32Array | undefined
  const write: Target['write'] = (_, values, first) =>
    (whole ??= new Float32Array(weight.blocks * weight.rows * columns)).set(values, first)
  return {
    ...floatWriter({ write }, weight, part),
    end() {
      const { values, scales } = stored
        ? { values: Int8Array.from(whole!), scales: stored }
        : quantize(whole!, columns, weight.blocks)
      target.write(weight, values, 0, columns, at)
      target.write(scaleWeight, scales, 0, columns, at)
      whole = undefined
    },
  }
}

/** Returns the writers of a weight that is a function of small tensors, one for each of them. */
export function derivedWriters(
  target: Target,
  weight: Extract<WeightSource, { derive: unknown }>,
  sizes: readonly number[],
): Writer[] {
  const held = sizes.map((size) => new Float32Array(size))
  let missing = held.length
  return held.map((tensor) => ({
    add: (values, at) => tensor.set(values, at),
    end() {
      if (--missing === 0) target.write(weight, weight.derive(held), 0, weight.columns, 0)
    },
  }))
}

/** Rounds values to float16. */
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
