/** An operation with two outputs, which is compiled for the test, from its recording to results. */
import { readFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import type { Context } from '../src/onnx/context.ts'
import { operations } from '../src/onnx/operations.ts'
import { writeProgram } from '../src/onnx/program.ts'
import { listing } from '../src/program/listing.ts'
import type { Operation } from '../src/program/ops/operation.ts'
import { plan, planSlots } from '../src/program/plan.ts'
import { outputsOf, type Tensor } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { adapter, openDevice } from './gpu.ts'
import { readOnnx } from './onnxFile.ts'
import { noise } from './ops.ts'

interface Moments {
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly mean: Tensor; readonly deviation: Tensor }
}

vi.mock('../src/program/ops/index.ts', async (original) => {
  const moments: Operation<Moments, [x: Tensor]> = {
    inputs: { x: 'rows d' },
    outputs: { mean: 'rows 1', deviation: 'rows 1' },
    fields: ['d', 'frameRows'],
  }
  return { ...(await original<object>()), moments }
})

const { KERNEL, SHADER } = vi.hoisted(() => ({
  KERNEL: `
import { MomentsArgs } from '../build/operations'
import { root } from './lib/math'
import { rowAt } from './lib/rows'
import { sumOfRow, sumOfSquares } from './lib/sums'

export function moments(args: MomentsArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const mean = sumOfRow(x, bytes) / <f32>args.d
    store<f32>(args.mean + ((<usize>row * args.meanStride) << 2), mean)
    store<f32>(
      args.deviation + ((<usize>row * args.deviationStride) << 2),
      root(sumOfSquares(x, bytes, mean) / <f32>args.d),
    )
  }
}`,
  SHADER: `
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> deviation: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.count) {
    return;
  }
  let begin = p.xOffset + rowOffset(id.x, p.frameRows, p.xFrame, p.xStride);
  var sum = 0.0;
  for (var i = 0u; i < p.d; i++) {
    sum += x[begin + i];
  }
  let middle = sum / f32(p.d);
  var squares = 0.0;
  for (var i = 0u; i < p.d; i++) {
    squares += (x[begin + i] - middle) * (x[begin + i] - middle);
  }
  mean[p.meanOffset + id.x * p.meanStride] = middle;
  deviation[p.deviationOffset + id.x * p.deviationStride] = sqrt(squares / f32(p.d));
}`,
}))

vi.mock('../build/trecvit.wasm', async () => {
  const [{ default: asc }, { assembly }] = await Promise.all([
    import('assemblyscript/asc'),
    import('../scripts/assembly.ts'),
  ])
  const texts: Record<string, string> = {
    'build/operations.ts': assembly,
    'assembly/moments.ts': KERNEL,
  }
  let binary = new Uint8Array()
  const flags =
    '--config none --outFile moments.wasm --runtime stub --noAssert --uncheckedBehavior always ' +
    '--importMemory --initialMemory 1 --sharedMemory --maximumMemory 65536 --enable simd,threads'
  const { error, stderr } = await asc.main(['assembly/index.ts', ...flags.split(' ')], {
    readFile: (name) => texts[name] ?? readFile(name, 'utf8').catch(() => null),
    writeFile: (_, contents) => void (binary = contents as Uint8Array<ArrayBuffer>),
    listFiles: () => [],
  })
  if (error) throw new Error(stderr.toString())
  return { default: binary }
})

vi.mock('../build/shaders.txt', async (original) => {
  const { default: shaders } = await original<{ default: string }>()
  const { paramsOf } = await import('../scripts/shaders.ts')
  const moments = `${SHADER}\n${paramsOf('moments' as never)}`
  return { default: [shaders, 'moments', 'frames', moments].join('\f') }
})

const shape = [2, 3, 4, 8] as const

/** Moments of tokens 1 to 3 of every frame, and softmaxes that read both. */
function record() {
  const ops = new Recorder(2, 3, new Map()) as Recorder & {
    moments(name: string, x: Tensor): Moments['outputs']
  }
  const { mean, deviation } = ops.moments('moments', ops.tokens(ops.input('x', shape), 1, 3))
  const ones = { a: ops.softmax('a', mean), b: ops.softmax('b', deviation) }
  return ops.end({ mean, deviation, ...ones })
}

const x = noise(2 * 3 * 4 * 8, 1)
const rows = Array.from({ length: 24 }, (_, row) => [...x.subarray(8 * row, 8 * row + 8)])
const viewed = rows.filter((_, row) => row % 4)
const average = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length
const means = viewed.map(average)
const deviations = viewed.map((row, i) => Math.sqrt(average(row.map((v) => (v - means[i]!) ** 2))))

test('the program has both outputs, each in a buffer of its own', () => {
  const program = record()
  const [step] = program.steps
  expect(outputsOf(step!).map(({ buffer }) => buffer.name)).toEqual([
    'moments/mean',
    'moments/deviation',
  ])
  expect(listing(program)).toContain('moments  [2,3,3,8] → [2,3,3,1] [2,3,3,1]')
  const [mean, deviation] = outputsOf(step!)
  const { offsets } = plan(program)
  const { of } = planSlots(program)
  for (const places of [offsets, of])
    expect(places.get(mean!.buffer)).not.toBe(places.get(deviation!.buffer))
})

test.each([
  ['wasm', async () => WasmBackend.create([])],
  ...(adapter
    ? [['webgpu', async () => WebGpuBackend.create(await openDevice({}), [])] as const]
    : []),
] as const)('%s computes both', async (_, create) => {
  const program = record()
  const backend = await create()
  const replay = await backend.prepare(program)
  const state = await backend.createState([])
  const traced: Record<string, Float32Array> = {}
  for (const watched of [false, true]) {
    const outputs = await replay.run(
      state,
      0,
      { x },
      watched
        ? async (step, __, read) => {
            for (const output of outputsOf(step)) traced[output.buffer.name] = await read(output)
          }
        : undefined,
    )
    means.forEach((mean, row) => expect(outputs['mean']![row]).toBeCloseTo(mean, 5))
    deviations.forEach((value, row) => expect(outputs['deviation']![row]).toBeCloseTo(value, 5))
    expect([...outputs['a']!, ...outputs['b']!]).toEqual(Array(36).fill(1))
    if (watched) expect(traced['moments/deviation']).toEqual(outputs['deviation'])
  }
  for (const part of [replay, state, backend]) part.dispose()
})

test('ONNX gets a value for each', () => {
  const outputs = { a: 'tokens', deviation: 'tokens' } as const
  const write = () =>
    writeProgram(record(), new Map(), {
      ...{ stateful: false, dtype: 'f32', attention: 'plain', outputs },
    })
  expect(write).toThrow('moments "moments" has no form in ONNX')
  const moments = (context: Context, { inputs }: { inputs: Moments['inputs'] }) => {
    const { graph } = context
    const rows = context.read(inputs.x)
    const averageOf = (value: string) => graph.node('ReduceMean', [value, graph.integers(-1)])
    const mean = averageOf(rows)
    const centred = graph.node('Sub', [rows, mean])
    return [mean, graph.node('Sqrt', [averageOf(graph.node('Mul', [centred, centred]))])]
  }
  Object.assign(operations, { moments })
  const file = readOnnx(write().encode('1.2.3').encode())
  expect(file.outputs).toEqual({ a: [2, 3, 3, 1], deviation: [2, 3, 3, 1] })
  const made = (op: string) => file.nodes.find((node) => node.op === op)!
  expect(made('Softmax').inputs).toEqual([made('ReduceMean').outputs[0]])
  const readers = file.nodes.filter(({ inputs }) => inputs[0] === made('Sqrt').outputs[0])
  expect(readers.map(({ op }) => op)).toEqual(['Softmax', 'Reshape'])
})
