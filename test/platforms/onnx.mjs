/**
 * What `trecvit convert` writes as .onnx, in onnxruntime with its default optimisations: every
 * golden model frame by frame, in chunks and as a clip, in float32 and float16; models that no
 * golden is for against our own answers; and the examples of docs/onnx.md. Needs a build, and npm
 * ci --prefix bench/peers --ignore-scripts.
 *
 *     node test/platforms/onnx.mjs
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openCheckpoint, TRecViT } from '../../dist/index.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const script = join(root, 'dist/cli/index.js')
const ort = createRequire(join(root, 'bench/peers/package.json'))('onnxruntime-node')
const folder = mkdtempSync(join(tmpdir(), 'trecvit-onnx-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Largest error, relative to the largest expected value. */
const BOUNDS = { f32: 1e-4, f16: 1e-2 }
let checks = 0

function expectNear(what, got, want, dtype) {
  assert.equal(got.length, want.length, `${what}: number of values`)
  let [error, largest] = [0, 0]
  want.forEach((value, index) => {
    // NaN stays, as the largest error.
    error = Math.max(error, Math.abs(value - got[index]))
    largest = Math.max(largest, Math.abs(value))
  })
  const relative = error / largest
  console.log(`${what}: largest error ${relative.toExponential(1)} of the largest value`)
  assert(relative <= BOUNDS[dtype], `${what} expected at most ${BOUNDS[dtype]}, got ${relative}`)
  checks++
}

const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1)

/** Converts a model and opens it in onnxruntime. */
async function open(source, args) {
  const path = join(folder, 'model.onnx')
  const output = execFileSync(
    process.execPath,
    [script, 'convert', source, path, '--force', '--json', ...args],
    { encoding: 'utf8' },
  )
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1 })
  const { inputs: shapes } = JSON.parse(output)
  const tensor = (name, data) => new ort.Tensor('float32', data, shapes[name])
  const states = Object.keys(shapes).filter((name) => name !== 'pixels')
  const zeros = Object.fromEntries(
    states.map((name) => [name, tensor(name, new Float32Array(sizeOf(shapes[name])))]),
  )
  let feeds = zeros
  return {
    frames: shapes.pixels[1],
    frameSize: sizeOf(shapes.pixels.slice(2)),
    reset: () => (feeds = zeros),
    scale(names, factor) {
      for (const name of names)
        feeds[name] = tensor(
          name,
          feeds[name].data.map((value) => factor * value),
        )
    },
    async run(bytes) {
      const pixels = tensor(
        'pixels',
        Float32Array.from(bytes, (value) => value / 255),
      )
      const results = await session.run({ ...feeds, pixels })
      feeds = Object.fromEntries(states.map((name) => [name, results[`next/${name}`]]))
      return results
    },
  }
}

/** Runs a video; the output of every run, one after the other. */
async function outputsOf(model, video, output, resetEvery = Infinity) {
  const values = []
  const size = model.frames * model.frameSize
  model.reset()
  for (let at = 0; at < video.length; at += size) {
    if ((at / model.frameSize) % resetEvery === 0) model.reset()
    values.push(...(await model.run(video.subarray(at, at + size)))[output].data)
  }
  return values
}

async function goldensOf(name) {
  const file = await openCheckpoint(new URL(`../goldens/${name}_io.npz`, import.meta.url))
  const arrays = new Map()
  for (const { name: array, shape } of file.tensors.values()) {
    if (!/^(video|((stream|continuous)\/|clip_)(logits|probs))$/.test(array)) continue
    const values = new Float32Array(sizeOf(shape))
    await file.read(array, (part, at) => values.set(part, at))
    arrays.set(array, values)
  }
  await file.close()
  return arrays
}

const golden = (name) => join(root, `test/goldens/${name}.npz`)

for (const { name, source = golden(name), clip, args } of [
  { name: 'mu', clip: 4, args: ['--frames-per-clip', '4'] },
  { name: 'small', clip: 6, args: ['--frames-per-clip', '6'] },
  { name: 'small_gap', clip: 6, args: ['--frames-per-clip', '6', '--image-size', '64x64'] },
  {
    name: 'motion',
    // The weights that its golden was computed with; those of the package are newer.
    source: join(root, 'examples/motion/start.safetensors'),
    clip: Infinity,
    args: ['--frames-per-clip', '24'],
  },
]) {
  const goldens = await goldensOf(name)
  const video = Uint8Array.from(goldens.get('video'))
  for (const dtype of ['f32', 'f16']) {
    const step = await open(source, [...args, '--dtype', dtype])
    for (const [want, resetEvery] of [
      ['stream/logits', clip],
      ['stream/probs', clip],
      ['continuous/logits', Infinity],
    ]) {
      if (!goldens.has(want)) continue
      const got = await outputsOf(step, video, want.split('/')[1], resetEvery)
      expectNear(`${name} ${dtype}, ${want}`, got, goldens.get(want), dtype)
    }
    const chunks = await open(source, [...args, '--dtype', dtype, '--frames', '2'])
    const classes = goldens.get('stream/logits').length / (video.length / step.frameSize)
    expectNear(
      `${name} ${dtype}, stream/logits in chunks of 2`,
      await outputsOf(chunks, video, 'logits', clip),
      goldens.get('stream/logits').filter((_, i) => Math.floor(i / classes) % 2 === 1),
      dtype,
    )
    const clips = await open(source, [...args, '--dtype', dtype, '--graph', 'clip'])
    const want = goldens.get('clip_logits') ?? goldens.get('stream/logits').slice(-classes)
    expectNear(`${name} ${dtype}, clip`, await outputsOf(clips, video, 'logits'), want, dtype)
  }
}

/** Values that repeat for the same seed, from −0.2 to 0.2. */
function noise(count, seed) {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (0.2 * state) / 2 ** 31
  })
}

/** A golden model with other tensors, as .safetensors. */
async function writeVariant(name, change) {
  const file = await openCheckpoint(golden(name))
  const tensors = new Map()
  for (const { name: tensor, shape } of file.tensors.values()) {
    const values = new Float32Array(sizeOf(shape))
    await file.read(tensor, (part, at) => values.set(part, at))
    tensors.set(tensor, { shape, values })
  }
  await file.close()
  change(tensors)
  const header = {}
  let at = 0
  for (const [tensor, { shape, values }] of tensors)
    header[tensor] = { dtype: 'F32', shape, data_offsets: [at, (at += values.byteLength)] }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const path = join(folder, 'variant.safetensors')
  const parts = [...tensors.values()].map(({ values }) => Buffer.from(values.buffer))
  writeFileSync(path, Buffer.concat([length, text, ...parts]))
  return path
}

function addGatedMlp(tensors) {
  const width = tensors.get('tokenizer/embedding/bias').shape[0]
  let seed = 1
  for (const norm of [...tensors.keys()].filter((key) => key.includes('temporal_pre_norm'))) {
    const block = norm.split('/temporal_pre_norm')[0]
    const mlp = tensors.get('encoder/encoderblock_0/MlpBlock_0/Dense_0/bias').shape[0]
    for (const [tensor, shape] of Object.entries({
      'channel_pre_norm/scale': [width],
      'mlp_block/ffw_up/w': [2, width, mlp],
      'mlp_block/ffw_up/b': [2, 1, 1, mlp],
      'mlp_block/ffw_down/kernel': [mlp, width],
      'mlp_block/ffw_down/bias': [width],
    }))
      tensors.set(`${block}/${tensor}`, { shape, values: noise(sizeOf(shape), seed++) })
  }
}

function removeHead(tensors) {
  for (const key of tensors.keys()) if (key.startsWith('decoder/')) tensors.delete(key)
}

for (const { what, of, change, size } of [
  { what: 'a gated MLP', of: 'small', change: addGatedMlp, size: [64, 64] },
  { what: 'an encoder without a head', of: 'small', change: removeHead, size: [64, 64] },
  { what: 'a frame that is not square', of: 'small_gap', change: () => {}, size: [32, 128] },
]) {
  const path = await writeVariant(of, change)
  const t = 4
  const video = Uint8Array.from(noise(t * sizeOf(size) * 3, 9), (value) => 128 + 600 * value)
  const config = { framesPerClip: t, imageSize: size }
  const model = await TRecViT.load(path, { device: 'wasm', config })
  const frames = { data: video, shape: [t, ...size, 3] }
  const hasHead = model.config.numClasses > 0
  const output = hasHead ? 'logits' : 'encoded'
  const { data } = hasHead ? (await model.forward(frames)).logits : await model.features(frames)
  await model.dispose()
  const args = ['--image-size', size.join('x'), '--frames-per-clip', String(t)]
  for (const dtype of ['f32', 'f16']) {
    const clip = await open(path, [...args, '--dtype', dtype, '--graph', 'clip'])
    expectNear(`${what} ${dtype}, clip`, await outputsOf(clip, video, output), data, dtype)
    const step = await open(path, [...args, '--dtype', dtype])
    const all = await outputsOf(step, video, output)
    expectNear(`${what} ${dtype}, step`, hasHead ? all.slice(-data.length) : all, data, dtype)
  }
}

// A half-life, as docs/onnx.md says.
{
  const video = Uint8Array.from((await goldensOf('motion')).get('video'))
  const model = await TRecViT.load('builtin', { device: 'wasm' })
  const stream = model.stream({ average: { halfLife: 4 } })
  const step = await open('builtin', [])
  const [want, got] = [[], []]
  for (let at = 0; at < video.length; at += step.frameSize) {
    const frame = video.subarray(at, at + step.frameSize)
    want.push(...(await stream.push({ data: frame, shape: [96, 96, 3] })).logits.data)
    got.push(...(await step.run(frame)).logits.data)
    step.scale(['frames', 'pre_logits/past'], 2 ** (-1 / 4))
  }
  await model.dispose()
  expectNear('a half-life of 4 frames', got, want, 'f32')
}

// The example for Node, word for word, in a folder where its packages are installed: 8 grey frames.
{
  const page = readFileSync(join(root, 'docs/onnx.md'), 'utf8')
  symlinkSync(join(root, 'bench/peers/node_modules'), join(folder, 'node_modules'))
  await open('builtin', [])
  const example = [...page.matchAll(/```js ci\n([\s\S]*?)```/g)].map(([, code]) => code).join('')
  writeFileSync(join(folder, 'example.mjs'), example)
  const output = execFileSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' })
  const printed = [...output.matchAll(/^\d Float32Array\(10\) \[([^\]]*)\]/gm)]
  const got = printed.flatMap(([, values]) => values.trim().split(/,\s*/).map(Number).slice(0, 10))
  const model = await TRecViT.load('builtin', { device: 'wasm' })
  const { data: want } = (
    await model.forward({
      data: new Float32Array(8 * 96 * 96 * 3).fill(0.5),
      shape: [1, 8, 96, 96, 3],
    })
  ).probs
  await model.dispose()
  assert.equal(printed.length, 8)
  expectNear('the example of docs/onnx.md', got.slice(-10), want, 'f32')
}
console.log(`${checks} answers of onnxruntime are within the bounds`)
