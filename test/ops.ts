/**
 * Runs one operation on every backend, in a program of its own. All inputs are columns of the
 * pixels; steps before the operation copy each to a buffer of its own (bytes are not copied). The
 * output is a view into a buffer that another step has filled with poison. So elements that a
 * kernel does not write, and writes outside the output, are detected. NaN surrounds the inputs,
 * their rows (if they have a stride) and the states. So reads outside the inputs are detected, too.
 */
import { describe, expect, test } from 'vitest'
import {
  type Average,
  type Buffer,
  columnsOf,
  type Program,
  rowsOf,
  type State,
  type Step,
  sizeOf,
  statesFor,
  type Tensor,
  type Weight,
} from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'
import type { TrainingRecorder } from '../src/train/recorder.ts'
import { type BackendUnderTest, backends, optionsOf, threadPool } from './backends.ts'
import { ReferenceBackend } from './reference.ts'

/**
 * Records each operation as one step. TrainingRecorder splits some steps of `linear`, and drops
 * steps whose results nothing reads.
 */
class StepRecorder extends Recorder {
  static {
    StepRecorder.define(StepRecorder.prototype, TRAINING_OPS)
  }
}

/** An input: values row-major. */
export interface Input {
  readonly shape: readonly number[]
  readonly values: Float32Array | Uint8Array
}

/** A weight: values [blocks, rows, columns], row-major. */
export interface WeightInput extends Omit<Weight, 'name'> {
  readonly values: Float32Array | Int8Array
}

/** One row of a case table. */
export interface OpCase {
  readonly name: string
  /** Batch size, 1 by default. */
  readonly b?: number
  /** Frames in the chunk, 1 by default. */
  readonly t?: number
  readonly inputs: Readonly<Record<string, Input>>
  readonly weights?: Readonly<Record<string, WeightInput>>
  /** Frames since the reset, 0 by default. */
  readonly frame?: number
  /** Average of the stream, 'all' by default. */
  readonly average?: Average
  /** Elements between rows, of the run with row strides; 5 by default. */
  readonly gap?: number
  /** States before the chunk, zero by default. */
  readonly states?: readonly Float32Array[]
  /** Calls the operation once. Returns its output, or its outputs by name. */
  record(ops: TrainingRecorder, inputs: Record<string, Tensor>): Tensor | Record<string, Tensor>
  /** Largest difference of each output element from `want`, the result of the reference. */
  bound(precision: BackendUnderTest, want: Float32Array, output: string): ArrayLike<number>
  /** Bounds of the states after the chunk, 0 by default. */
  boundOfStates?(precision: BackendUnderTest): readonly ArrayLike<number>[]
}

/** Results of an operation. */
export interface OpResult {
  /** The first output. */
  readonly output: Float32Array
  readonly outputs: Readonly<Record<string, Float32Array>>
  readonly states: readonly Float32Array[]
}

/**
 * Elements of padding between views. Rows with gaps begin at any address, unless the gap is a
 * multiple of four elements.
 */
const marginOf = (gap: number): number => (gap % 4 ? 13 : 16)
/** A value that no case has. It is 1 if the pixels are bytes, from a byte of 255. */
const POISON = Math.fround(-7.77e33)

/**
 * Runs a case.
 * @param gap elements between the end of a row and the next, in inputs and output
 * @param apart rows between the frames of inputs [b, t, n, d]
 */
export async function runOp(
  create: BackendUnderTest['create'],
  op: OpCase,
  gap = 0,
  apart = 0,
): Promise<OpResult> {
  const { b = 1, t = 1, average = 'all' } = op
  const table = Object.entries(op.weights ?? {}).map(([name, { values, ...weight }]) => ({
    name,
    values,
    ...weight,
  }))
  const bytes = Object.values(op.inputs).some(({ values }) => values instanceof Uint8Array)
  const recorder = new StepRecorder(b, t, new Map(table.map((weight) => [weight.name, weight])))

  // The inputs are views into the pixels. Then the operation.
  const margin = marginOf(gap)
  let size = margin
  const placed = Object.entries(op.inputs).map(([name, { shape, values }]) => {
    const columns = shape[shape.length - 1]!
    const stride = columns + (bytes ? 0 : gap)
    const offset = size
    const frameRows = shape.length === 4 ? shape[2]! : values.length / columns
    const frameStride = (frameRows + apart) * stride
    size += (values.length / columns / frameRows) * frameStride + margin
    const view = { offset, shape, stride, ...(apart && shape.length === 4 && { frameStride }) }
    const place = (row: number) =>
      offset + Math.floor(row / frameRows) * frameStride + (row % frameRows) * stride
    return { name, values, view, place, end: size }
  })
  const buffer = { name: 'pixels', dtype: bytes ? ('u8' as const) : ('f32' as const), size }
  const whole = (of: Buffer, count: number) => ({
    buffer: of,
    offset: 0,
    shape: [1, count],
    stride: count,
  })
  /** Records a step that copies `count` pixels, and up to 2 more. */
  const copy = (name: string, from: number, count: number) => {
    const line = Math.ceil(count / 3)
    return recorder.patchify(
      name,
      { buffer, offset: from, shape: [1, 1, 1, line, 3], stride: 3 },
      { lead: 0, patchSize: [1, line] },
    )
  }
  const copies: Record<string, { readonly tensor: Tensor; readonly from: number }> = {}
  const inputs = Object.fromEntries(
    placed.map(({ name, view, end }): [string, Tensor] => {
      if (bytes) return [name, { buffer, ...view }]
      const from = view.offset - margin
      copies[name] = { tensor: copy(name, from, end - from - 2), from }
      return [name, { ...view, buffer: copies[name].tensor.buffer, offset: margin }]
    }),
  )
  const recorded = op.record(recorder as TrainingRecorder, inputs) as
    | Tensor
    | Record<string, Tensor>
  const results = 'buffer' in recorded ? { out: recorded as Tensor } : recorded

  // Each output is a view into a poisoned buffer: a step copies the end of the pixels into it
  // first.
  const written = Object.entries(results).map(([role, result]) => {
    const stride = columnsOf(result) + gap
    const poison = copy(`poison/${role}`, size, margin + rowsOf(result) * stride + margin)
    const view = { ...result, buffer: poison.buffer, offset: margin, stride }
    return { role, result, stride, view, name: `written/${role}` }
  })
  buffer.size += Math.max(...written.map(({ view }) => view.buffer.size))
  const { steps, states } = recorder.end({})
  const [step, ...fills] = steps.slice(-1 - written.length) as [Step, ...Step[]]
  const guard = (name: string): State => ({ name, shape: [16] })
  const program: Program = {
    b,
    t,
    inputs: { pixels: whole(buffer, buffer.size) },
    steps: [
      ...steps.slice(0, -1 - written.length),
      ...fills,
      {
        ...step,
        outputs: Object.fromEntries(written.map(({ role, view }) => [role, view])),
      } as unknown as Step,
    ],
    states: [guard('before'), ...states, guard('after')],
    outputs: {
      ...Object.fromEntries(
        written.map(({ name, view }) => [name, whole(view.buffer, view.buffer.size)]),
      ),
      ...Object.fromEntries(
        Object.entries(copies).map(([name, { tensor }]) => [
          name,
          whole(tensor.buffer, tensor.buffer.size),
        ]),
      ),
    },
  }

  const sent = bytes
    ? new Uint8Array(buffer.size).fill(255)
    : new Float32Array(buffer.size).fill(NaN).fill(POISON, size)
  for (const { values, view, place } of placed) {
    const columns = view.shape.at(-1)!
    for (let row = 0; row < values.length / columns; row++)
      sent.set(values.subarray(row * columns, (row + 1) * columns), place(row))
  }
  const backend = await create(table)
  for (const weight of table) backend.write(weight, weight.values, 0, weight.columns, 0)
  const replay = await backend.prepare(program)
  const stream = await backend.createState(program.states, average)
  const nan = new Float32Array(16).fill(NaN)
  await stream.write([
    nan,
    ...(op.states ??
      statesFor(states, average).map(({ shape }) => new Float32Array(sizeOf(shape)))),
    nan,
  ])
  const read = await replay.run(stream, op.frame ?? 0, { pixels: sent })
  const [before, ...after] = await stream.read()
  for (const part of [replay, stream, backend]) part.dispose()

  for (const [name, { from }] of Object.entries(copies))
    expectSame(`${name} afterwards`, read[name]!, sent.subarray(from, from + read[name]!.length))
  const outputs = Object.fromEntries(
    written.map(({ role, result, stride, name }) => {
      const [columns, end] = [columnsOf(result), margin + rowsOf(result) * stride]
      const isOutput = (at: number) => at >= margin && at < end && (at - margin) % stride < columns
      expectSame(
        `the memory around ${role}`,
        read[name]!.map((value, at) => (isOutput(at) ? 0 : value)),
        read[name]!.map((_, at) => (isOutput(at) ? 0 : bytes ? 1 : POISON)),
      )
      return [role, read[name]!.filter((_, at) => isOutput(at))]
    }),
  )
  expectSame('the memory before the states', before!, nan)
  expectSame('the memory after the states', after.pop()!, nan)
  return { output: Object.values(outputs)[0]!, outputs, states: after }
}

/** Asserts that two arrays have equal numbers, and NaN in the same places. */
export function expectSame(what: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length, `elements of ${what}`).toBe(want.length)
  for (let i = 0; i < want.length; i++) {
    if (!Object.is(got[i], want[i]))
      expect.fail(`${what}: expected ${want[i]} at ${i}, got ${got[i]}`)
  }
}

/**
 * Registers a test for every case and backend: dense, with row strides, and with frame strides. The
 * results are compared with the reference, within the bound of the case.
 * @param pool a thread pool, in addition to `on`
 */
export function testOp(
  title: string,
  cases: readonly OpCase[],
  on = backends,
  pool = threadPool,
): void {
  const references = new Map<OpCase, Promise<OpResult>>()
  const referenceOf = (op: OpCase) => {
    const known = references.get(op) ?? runOp(async (weights) => new ReferenceBackend(weights), op)
    references.set(op, known)
    return known
  }
  describe.each([...on, pool])(`${title} on $name`, (backend) => {
    test.each(cases)('$name', optionsOf(backend), async (op) => {
      const want = await referenceOf(op)
      const bounds = Object.entries(want.outputs).map(([role, output]) =>
        op.bound(backend, output, role),
      )
      const boundsOfStates = op.boundOfStates?.(backend)
      const hasFrames = Object.values(op.inputs).some(
        ({ shape }) => shape.length === 4 && shape[0]! * shape[1]! > 1,
      )
      const strides = [[0, 0], [op.gap ?? 5, 0], ...(hasFrames ? [[0, 2]] : [])] as [
        number,
        number,
      ][]
      for (const [gap, apart] of strides) {
        const got = await runOp(backend.create, op, gap, apart)
        Object.entries(want.outputs).forEach(([role, output], index) =>
          expectWithin(got.outputs[role]!, output, bounds[index]!, backend),
        )
        got.states.forEach((state, index) =>
          expectWithin(
            state,
            want.states[index]!,
            boundsOfStates?.[index] ?? new Float64Array(state.length),
            backend,
          ),
        )
      }
    })
  })
}

/**
 * Registers tests that frames 0..t−1 give bit-identical results in one chunk and in any split into
 * chunks. `chunk` returns the case for some of the frames.
 */
export function testSplits(
  title: string,
  t: number,
  chunk: (from: number, to: number) => OpCase,
): void {
  describe.each(backends)(`${title} on $name`, ({ name, create }) => {
    let once: Promise<OpResult> | undefined
    const all = compositions(t).map((sizes) => ({ sizes }))
    test.each(all)('$sizes', optionsOf({ name }), async ({ sizes }) => {
      const { b = 1 } = chunk(0, t)
      const whole = await (once ??= runOp(create, chunk(0, t)))
      const row = whole.output.length / (b * t)
      let states: readonly Float32Array[] | undefined
      let from = 0
      for (const size of sizes) {
        const result = await runOp(create, {
          ...chunk(from, from + size),
          ...(states && { states }),
        })
        for (let video = 0; video < b; video++) {
          const part = result.output.subarray(video * size * row, (video + 1) * size * row)
          expectSame(
            `frames from ${from} of video ${video}`,
            part,
            whole.output.subarray((video * t + from) * row, (video * t + from + size) * row),
          )
        }
        states = result.states
        from += size
      }
      states!.forEach((state, index) => expectSame(`state ${index}`, state, whole.states[index]!))
    })
  })
}

/** Returns every way to write t as a sum of positive integers, in order. */
export function compositions(t: number): number[][] {
  if (t === 0) return [[]]
  return Array.from({ length: t }, (_, i) => i + 1).flatMap((first) =>
    compositions(t - first).map((rest) => [first, ...rest]),
  )
}

/** Returns frames from..to−1 of an input [b, t, ..]. */
export function framesOf({ shape, values }: Input, from: number, to: number): Input {
  const [b, t, ...rest] = shape as [number, number, ...number[]]
  const row = values.length / (b * t)
  return {
    shape: [b, to - from, ...rest],
    values: values.filter(
      (_, at) => Math.floor(at / row) % t >= from && Math.floor(at / row) % t < to,
    ),
  }
}

/**
 * Asserts |got − want| ≤ bound for each element. Unless the backend supports finite numbers only,
 * also asserts NaN where NaN is expected, and infinity where float32 overflows.
 */
function expectWithin(
  got: Float32Array,
  want: Float32Array,
  bound: ArrayLike<number>,
  { unit, smallest, finiteOnly }: BackendUnderTest,
): void {
  expect(got.length, 'number of elements').toBe(want.length)
  let outside = 0
  let worst = { index: 0, ratio: 0 }
  want.forEach((value, index) => {
    // `want` is rounded to float32, which adds a unit to the bound. With a bound of 0 it is exact.
    const allowed = bound[index]! && bound[index]! + unit * Math.abs(value) + smallest
    if (finiteOnly && !Number.isFinite(value)) return
    const ratio =
      got[index] === value || (Number.isNaN(value) && Number.isNaN(got[index]))
        ? 0
        : Math.abs(got[index]! - value) / allowed
    if (!(ratio <= 1)) outside++
    if (!(ratio <= worst.ratio)) worst = { index, ratio }
  })
  if (outside) {
    const { index, ratio } = worst
    expect.fail(
      `${outside} of ${want.length} elements lie outside the bound; worst at ${index}: ` +
        `expected ${want[index]}, got ${got[index]}, ${ratio} times the bound`,
    )
  }
}

/** Relative error of a sum of n products in any order: n·u / (1 − n·u). */
export function gamma(n: number, { unit }: BackendUnderTest): number {
  return (n * unit) / (1 - n * unit)
}

/** Returns `count` float32 numbers between −scale and scale. The seed determines them. */
export function noise(count: number, seed: number, scale = 1): Float32Array {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state / 2 ** 31) * scale
  })
}

/** Returns a weight of one block of kind `rows`. */
export function rowsWeight(rows: number, columns: number, values: Float32Array): WeightInput {
  return { kind: 'rows', blocks: 1, rows, columns, values }
}
