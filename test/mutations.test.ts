// @module-tag slow
/**
 * Mutation tests: each edit of the sources makes a wrong model, and the golden clips must detect
 * it. Otherwise the golden tests would not protect against the error.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import asc from 'assemblyscript/asc'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Goldens, goldenUrl } from './goldens.ts'
import { models } from './models.ts'

/** An edit: text that occurs once in the file, and its replacement. */
interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

const erfGelu = `
  // Abramowitz and Stegun 7.1.26, good to 1.5e-7.
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.7071067811865476))
  const one = f32x4.splat(1)
  const t = f32x4.div(one, f32x4.add(one, f32x4.mul(f32x4.splat(0.3275911), z)))
  let p = f32x4.add(f32x4.mul(t, f32x4.splat(1.061405429)), f32x4.splat(-1.453152027))
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741))
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736))
  p = f32x4.mul(f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592)), t)
  const erf = f32x4.sub(f32x4.splat(1), f32x4.mul(p, exp(f32x4.neg(f32x4.mul(z, z)))))
  const signed = v128.or(erf, v128.and(x, c(22)))
  return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(one, signed))`
const softmaxOfMean = `{
    data: ((mean) => {
      const e = mean.map((logit) => Math.exp(logit))
      return e.map((value) => value / e.reduce((sum, other) => sum + other, 0))
    })(meanOverClips(clipLogits, b, clips, c)),`

const mutations: readonly (Edit & { readonly name: string })[] = [
  {
    name: 'gelu with erf',
    file: 'assembly/lib/math.ts',
    from: '  const power = f32x4.mul(madd(',
    to: `${erfGelu}\n  const power = f32x4.mul(madd(`,
  },
  {
    name: 'RMSNorm that scales by scale instead of 1 + scale',
    file: 'assembly/rmsNorm.ts',
    from: 'f32x4.add(one, v128.load(args.scale + i))',
    to: 'v128.load(args.scale + i)',
  },
  {
    name: 'variance over d − 1',
    file: 'assembly/layerNorm.ts',
    from: 'mean) / <f32>args.d +',
    to: 'mean) / <f32>(args.d - 1) +',
  },
  {
    name: 'epsilon 1e-5 in LayerNorm',
    file: 'assembly/layerNorm.ts',
    from: '<f32>1e-6',
    to: '<f32>1e-5',
  },
  {
    name: 'epsilon 1e-5 in RMSNorm',
    file: 'assembly/rmsNorm.ts',
    from: '<f32>1e-6',
    to: '<f32>1e-5',
  },
  {
    name: 'taps of the convolution in reverse',
    file: 'assembly/conv1d.ts',
    from: 'const k1 = kernel + e, k2 = k1 + e, k3 = k2 + e',
    to: 'const k3 = kernel, k2 = k3 + e, k1 = k2 + e; kernel = k1 + e',
  },
  {
    name: 'past of the convolution newest first',
    file: 'assembly/conv1d.ts',
    from: 'past + <usize>((args.k - 1 + t) * args.n) * e',
    to: 'past + <usize>((-1 - t) * args.n) * e',
  },
  {
    name: '√(1 − a²) on the first frame too',
    file: 'assembly/rgLru.ts',
    from: 'memory.copy(s, scratch, width)',
    to: 'memory.fill(s, 0, width), recur(s, scratch, scratch + width, width)',
  },
  { name: 'no √(1 − a²)', file: 'assembly/rgLru.ts', from: 'f32x4.mul(rest, x)', to: 'x' },
  {
    name: 'no 1/√r in attention',
    file: 'assembly/attention.ts',
    from: '1 / sqrt<f32>(<f32>r)',
    to: '1',
  },
  {
    name: 'bytes divided by 256',
    file: 'assembly/patchify.ts',
    from: 'f32x4.splat(255)',
    to: 'f32x4.splat(256)',
  },
  {
    name: 'sum over tokens instead of mean',
    file: 'assembly/pool.ts',
    from: 'f32x4.div(v128.load(out + i), counts)',
    to: 'v128.load(out + i)',
  },
  {
    name: 'gelu on linear_x',
    file: 'src/model/encoder/graph.ts',
    from: 'activated: e',
    to: 'activated: 2 * e',
  },
  {
    name: 'no tanh in the head',
    file: 'src/model/heads/classification.ts',
    from: "activation: 'tanh'",
    to: "activation: 'none'",
  },
  {
    name: 'no residual around attention',
    file: 'src/model/encoder/graph.ts',
    from: ', { add: select(x) }',
    to: '',
  },
  {
    name: 'answer from the last frame alone',
    file: 'src/model/heads/classification.ts',
    from: 'ops.average(`${path}pre_logits`, features, over)',
    to: 'features',
  },
  {
    name: 'input gate and decay gate exchanged',
    file: 'src/model/encoder/tensors.ts',
    from: 'gates.map(',
    to: 'gates.toReversed().map(',
  },
  {
    name: 'decay −4·softplus',
    file: 'src/model/encoder/tensors.ts',
    from: '-8 * softplus',
    to: '-4 * softplus',
  },
  {
    name: 'bias of the patches on the class token',
    file: 'src/model/encoder/tensors.ts',
    from: 'sums.set(rest[0]!)',
    to: 'sums.set(rest[0]!.map((value, i) => value + bias![i]!))',
  },
  {
    name: 'fixed positions with x and y exchanged',
    file: 'src/model/math.ts',
    from: '[...sinCos(x * omega), ...sinCos(y * omega)]',
    to: '[...sinCos(y * omega), ...sinCos(x * omega)]',
  },
  {
    name: 'state kept from clip to clip',
    file: 'src/model/forward.ts',
    from: 'if (clip) await session.reset()',
    to: '',
  },
  {
    name: 'softmax of mean logits instead of mean of softmaxes',
    file: 'src/model/forward.ts',
    from: '{ data: meanOverClips(clipProbs, b, clips, c),',
    to: softmaxOfMean,
  },
]

const NO_EDIT: Edit = { file: '', from: '', to: '' }

/** The kernels without an edit, for edits of other files. */
let unchanged: Promise<Uint8Array> | undefined

let folder: string
beforeAll(async () => {
  folder = await mkdtemp('build/mutant-')
})
afterAll(() => rm(folder, { recursive: true }))

test('the unchanged model passes', async () => {
  expect(await worstRatio(NO_EDIT)).toBeLessThanOrEqual(1)
})

test.each(mutations)('$name', async (mutation) => {
  expect(await worstRatio(mutation)).toBeGreaterThan(1)
})

/**
 * Returns the largest error / tolerance of the golden clips with the edit, or that of the first
 * model beyond its tolerance.
 */
async function worstRatio(edit: Edit): Promise<number> {
  const { TRecViT } = await mutated(edit)
  let worst = 0
  for (const { name, given } of models.filter((model) => model.name !== 'mu')) {
    const goldens = await Goldens.open(`${name}_io.npz`)
    const { shape, values } = goldens.get('video')
    const video = { data: Uint8Array.from(values), shape }
    await using model = await TRecViT.load(goldenUrl(`${name}.npz`), { config: given })
    const { logits, probs, clipLogits, clipProbs, preLogits } = await model.forward(video)
    const encoded = await model.features(video)
    for (const [want, got] of Object.entries({
      logits,
      probs,
      clip_logits: clipLogits,
      clip_probs: clipProbs,
      pre_logits: preLogits,
      'stream/encoded': encoded,
    })) {
      worst = Math.max(worst, goldens.ratio(want, got.data, got.shape))
    }
    if (worst > 1) break
  }
  return worst
}

/** Returns a pattern for text in source code, regardless of line breaks. */
function pattern(text: string): RegExp {
  const words = text.split(/\s+/).map((word) => word.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
  return new RegExp(words.join('\\s+'), 'g')
}

/** Returns the text of a file after the edit. */
async function read(file: string, edit: Edit): Promise<string> {
  const text = await readFile(file, 'utf8')
  if (file !== edit.file) return text
  const found = [...text.matchAll(pattern(edit.from))]
  expect(found.length, `times that "${edit.from}" stands in ${file}`).toBe(1)
  return text.replace(found[0]![0], () => edit.to)
}

/** Compiles the kernels after the edit, without optimisation. */
async function compiled(edit: Edit): Promise<Uint8Array> {
  let wasm = new Uint8Array()
  const options = [
    '--config',
    'none',
    '--runtime',
    'stub',
    '--importMemory',
    '--initialMemory',
    '1',
    '--sharedMemory',
    '--maximumMemory',
    '65536',
    '--enable',
    'simd,threads',
    '--noAssert',
  ]
  const { error, stderr } = await asc.main(
    ['assembly/index.ts', '--outFile', 'mutant.wasm', ...options],
    {
      readFile: (file) =>
        read(file, edit).catch((reason: { code?: string }) =>
          reason.code === 'ENOENT' ? null : Promise.reject(reason),
        ),
      writeFile: (_, contents) => void (wasm = contents as unknown as typeof wasm),
    },
  )
  if (error) throw new Error(String(stderr), { cause: error })
  return wasm
}

/** Imports the package with one edit. */
async function mutated(edit: Edit): Promise<typeof import('../src/model/trecvit.ts')> {
  const wasm = edit.file.startsWith('assembly/')
    ? await compiled(edit)
    : await (unchanged ??= compiled(NO_EDIT))
  const { outputFiles } = await build({
    entryPoints: ['src/model/trecvit.ts'],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    packages: 'external',
    external: ['node:*'],
    loader: { '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
    plugins: [
      {
        name: 'edit',
        setup({ onLoad }) {
          onLoad({ filter: /\.wasm$/ }, () => ({ contents: wasm, loader: 'binary' }))
          onLoad({ filter: /src\/.*\.ts$/ }, async ({ path }) => ({
            contents: await read(path.slice(path.lastIndexOf('/src/') + 1), edit),
            loader: 'ts',
          }))
        },
      },
    ],
  })
  const file = `${folder}/${mutations.indexOf(edit as (typeof mutations)[number])}.mjs`
  await writeFile(file, outputFiles[0]!.text)
  return await import(/* @vite-ignore */ `../${file}`)
}
