/**
 * Compares forms of the tile of products (forms.ts) with gpu/lib/tile.wgsl, at the shapes of a Base
 * frame and of a chunk of eight: results, and speed on the GPU with weights that come from memory.
 * Options: --rounds 7 --only unrolled
 */
import activations from '../../gpu/lib/activations.wgsl'
import blocks from '../../gpu/lib/blocks.wgsl'
import exponential from '../../gpu/lib/exponential.wgsl'
import fewRows from '../../gpu/lib/few.wgsl'
import frames from '../../gpu/lib/frames.wgsl'
import kernel from '../../gpu/lib/kernel.wgsl'
import shipped from '../../gpu/lib/tile.wgsl'
import linear from '../../gpu/linear.wgsl'
import { ARGUMENTS, fieldsOf, paramsOf } from '../../scripts/shaders.ts'
import { expand } from '../../scripts/template.ts'
import { type Options, settingsOf } from '../../src/bench/lib/options.ts'
import type { Report, Table } from '../../src/bench/lib/report.ts'
import { type Form, nameOf, sizesOf, sourceOf } from './forms.ts'
import { Gpu } from './gpu.ts'

const defaults = {
  rounds: 7,
  only: '',
  pool: 400,
  toggles: 'disable_workgroup_init,disable_robustness,skip_validation',
}

const SHAPES = [
  [197, 768, 3072],
  [197, 3072, 768],
  [197, 768, 768],
  [1576, 3072, 768],
] as const

const now: Form = { rows: 10, vectors: 2, across: 4, down: 4, slices: 8, quads: 2 }
const small: Form = { ...now, slices: 4 }
const FORMS: readonly Form[] = [
  now,
  small,
  ...[now, small].flatMap((form): Form[] => [
    { ...form, plain: true },
    { ...form, unrolled: true },
    { ...form, writable: true },
    { ...form, unrolled: true, writable: true },
  ]),
  { ...now, rows: 5 },
  { ...now, rows: 5, unrolled: true, writable: true },
  { ...now, rows: 8 },
  { ...now, slices: 16, quads: 1 },
  { ...now, quads: 1, doubled: true },
  ...(
    [
      ['x'],
      ['kernel'],
      ['x', 'kernel'],
      ['loads'],
      ['stores'],
      ['loads', 'stores'],
      ['x', 'kernel', 'loads'],
      ['x', 'kernel', 'loads', 'stores'],
    ] as const
  ).map((without): Form => ({ ...now, without })),
]

export async function bench(options: Options): Promise<Report> {
  const { rounds, only, pool: megabytes, toggles } = settingsOf(options, defaults)
  const gpu = await Gpu.open(toggles)
  const pool = gpu.buffer(1e6 * megabytes, 0.03)
  const tables: Table[] = []
  const wrong: string[] = []
  for (const [rows, k, n] of SHAPES) {
    const job = await products(gpu, pool, 1e6 * megabytes, rows, k, n)
    const shippedForm = (INVOCATIONS: number) =>
      job(`gpu/lib/tile.wgsl, ${INVOCATIONS} invocations`, expand(shipped, ARGUMENTS.tile!.tile!), {
        tileRows: 40,
        tileColumns: 32,
        constants: { INVOCATIONS, ALIGNED: 1, WHOLE: 1 },
      })
    const forms = FORMS.filter(
      (form) =>
        nameOf(form).includes(only) &&
        k % sizesOf(form).stage === 0 &&
        sizesOf(form).bytes <= gpu.device.limits.maxComputeWorkgroupStorageSize,
    )
    const jobs = [await shippedForm(128), await shippedForm(64)]
    for (const form of forms)
      jobs.push(
        await job(nameOf(form), sourceOf(form), { ...sizesOf(form), constants: {} }, form.writable),
      )
    for (const { name, differs } of jobs)
      if (!name.includes('without') && !(differs < 1e-4)) wrong.push(`${name} by ${differs}`)
    const times = await gpu.inTurn(
      jobs.map(({ pass }) => pass),
      rounds,
      250,
    )
    tables.push({
      title: `${rows} × ${k} → ${n}`,
      rows: jobs.map(({ name, count }, index) => ({
        form: name,
        µs: (1000 * times[index]!) / count,
        'TFLOP/s': (2 * rows * k * n * count) / times[index]! / 1e9,
      })),
    })
  }
  return {
    bench: 'gpu products',
    facts: gpu.facts,
    tables,
    verdict: wrong.length ? { holds: false, text: `wrong: ${wrong.join('; ')}` } : null,
  }
}

interface Job {
  readonly name: string
  readonly pass: (pass: GPUComputePassEncoder) => void
  /** Number of products in a pass. */
  readonly count: number
  /** Largest difference from the first job. */
  readonly differs: number
}

/** Makes jobs of one shape. Their products use the parts of the pool in turn. */
async function products(
  gpu: Gpu,
  pool: GPUBuffer,
  bytes: number,
  rows: number,
  k: number,
  n: number,
) {
  const { device } = gpu
  const out = gpu.buffer(4 * rows * n)
  const none = gpu.buffer(16)
  const x = gpu.buffer(4 * rows * k, 1)
  const gelu = n > k
  const params = gpu.uniform(
    fieldsOf('linear').map(
      (field) =>
        ({ rows, k, n, activation: Number(gelu), activated: n, biased: 1, added: Number(!gelu) })[
          field
        ] ??
        { frameRows: rows, outStride: n, xStride: k, addStride: n }[field] ??
        0,
    ),
  )
  const [add, bias] = [gpu.buffer(4 * rows * n, 1), gpu.buffer(4 * n, 1)]
  const layoutOf = (operands: GPUBufferBindingType) =>
    gpu.layout([
      'uniform',
      'storage',
      operands,
      'read-only-storage',
      'read-only-storage',
      operands,
      'read-only-storage',
      'read-only-storage',
    ])
  const layouts = [layoutOf('read-only-storage'), layoutOf('storage')] as const
  const count = Math.max(1, Math.min(24, Math.floor(bytes / (4 * k * n))))
  const [read, written] = layouts.map((layout) =>
    Array.from({ length: count }, (_, index) =>
      device.createBindGroup({
        layout,
        entries: [
          { buffer: params },
          { buffer: out },
          { buffer: x },
          { buffer: none },
          { buffer: add },
          { buffer: pool, offset: 4 * k * n * index, size: 4 * k * n },
          { buffer: bias },
          { buffer: none },
        ].map((resource, binding) => ({ binding, resource })),
      }),
    ),
  ) as [GPUBindGroup[], GPUBindGroup[]]
  let want: Float32Array | undefined
  return async (
    name: string,
    tile: string,
    {
      tileRows,
      tileColumns,
      constants,
    }: { tileRows: number; tileColumns: number; constants: Record<string, number> },
    writable = false,
  ): Promise<Job> => {
    const [layout, groups] = writable ? [layouts[1], written] : [layouts[0], read]
    const operation = writable
      ? linear.replace(/var<storage, read> (x|kernel):/g, 'var<storage, read_write> $1:')
      : linear
    const module = device.createShaderModule({
      code: [
        ...[kernel, blocks, frames, tile, expand(fewRows, ARGUMENTS['few']!['few']!)],
        ...[exponential, activations, operation, paramsOf('linear')],
      ].join('\n'),
    })
    const pipeline = await device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main', constants },
    })
    const pass = (of: readonly GPUBindGroup[]) => (pass: GPUComputePassEncoder) => {
      pass.setPipeline(pipeline)
      for (const group of of) {
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(Math.ceil(n / tileColumns), Math.ceil(rows / tileRows))
      }
    }
    await gpu.time(pass(groups.slice(0, 1)))
    const got = await gpu.read(out, rows * n)
    want ??= got
    // NaN counts as an infinite difference.
    const differs = got.reduce(
      (most, value, index) =>
        Math.max(
          most,
          Math.abs(value - want![index]!) >= 0 ? Math.abs(value - want![index]!) : Infinity,
        ),
      0,
    )
    return { name, pass: pass(groups), count, differs }
  }
}
