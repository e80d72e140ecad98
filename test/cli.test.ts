import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { TRecViT } from '../src/index.ts'
import { decodeSnapshot } from '../src/stream/snapshot.ts'
import { readAll, readTensor } from './checkpointFiles.ts'
import {
  file,
  folder,
  rawFrames as frames,
  lines,
  outcome,
  pipe,
  raw,
  run,
  start,
  tiny,
  tinyNpz,
  tinyTensors,
  y4m,
} from './commandLine.ts'
import { joined } from './joined.ts'
import { readOnnx } from './onnxFile.ts'

const builtin = fileURLToPath(new URL('../models/motion.safetensors', import.meta.url))
const tour = fileURLToPath(new URL('../models/tour.mp4', import.meta.url))

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

/** Runs to an end without errors, and reads its JSON. */
async function json(args: string[], input?: Uint8Array): Promise<Record<string, any>> {
  const { code, stdout, stderr } = await pipe(input, ...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(lines(stdout).length).toBe(1)
  return JSON.parse(stdout)
}

describe('help', () => {
  test('is there for every command, with examples; exit codes are listed', async () => {
    const { code, stdout } = await run('--help')
    expect(code).toBe(0)
    for (const word of [
      'classify',
      'stream',
      'features',
      'inspect',
      'convert',
      'serve',
      'doctor',
      'Exit codes',
      '130',
      'TRECVIT_DEBUG',
      'NO_COLOR',
    ])
      expect(stdout).toContain(word)
    await Promise.all(
      [
        'classify',
        'stream',
        'features',
        'inspect',
        'convert',
        'pull',
        'models',
        'serve',
        'doctor',
      ].map(async (command) => {
        const { code, stdout } = await run(command, '--help')
        expect(code).toBe(0)
        expect(stdout).toMatch(/Examples:\n {2}\$ trecvit/)
        expect(stdout).toContain('--json')
      }),
    )
  })

  test('--version is that of the package', async () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    )
    expect((await run('--version')).stdout).toBe(`${version}\n`)
  })

  test('what cannot be understood ends with 2 and one line', { tags: 'slow' }, async () => {
    const cases = [
      ['nonsense'],
      ['classify', '--nonsense'],
      ['classify', '--top-k', '0'],
      ['classify', '--stride', '1.5'],
      ['classify', '--window', '5000'],
      ['classify', '--image-size', '96'],
      ['stream', '--average', 'some'],
      ['features', 'a.mp4'],
      ['inspect', '--size', 'Q'],
      ['convert', 'a.npz'],
    ]
    for (const outcome of await Promise.all(cases.map((args) => run(...args)))) {
      expect(outcome).toEqual({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^trecvit: [^\n]+\n$/),
      })
    }
  })
})

describe('classify', () => {
  test('the clip that ships with the package, as JSON', async () => {
    const { model, device, video, top, probs, logits, segments, frames, timing } = await json([
      'classify',
    ])
    expect(model).toMatchObject({ source: 'builtin', config: { numClasses: 10 }, warnings: [] })
    expect(device).toMatchObject({ backend: 'wasm' })
    expect(video).toMatchObject({ width: 320, height: 240, fps: 30, frames: 391 })
    expect(top.length).toBe(5)
    expect(top[0]).toMatchObject({ label: 'static', index: 0 })
    expect(probs.length).toBe(10)
    expect(logits.length).toBe(10)
    expect(top[0].prob).toBe(probs[0])
    expect(frames.length).toBe(391)
    expect(frames[50]).toMatchObject({
      frame: 50,
      time: expect.closeTo(50 / 30, 6),
      label: 'pan right',
      index: 2,
    })
    expect(timing).toMatchObject({ frames: 391, fps: expect.any(Number) })
    // Segments are the frames, told in short.
    expect(segments.map(({ label }: { label: string }) => label)).toEqual(
      expect.arrayContaining([
        'static',
        'pan right',
        'tilt up',
        'zoom in',
        'roll clockwise',
        'pan left',
        'zoom out',
        'shake',
        'tilt down',
        'roll counterclockwise',
      ]),
    )
    let next = 0
    for (const { first, last, from, to, label } of segments) {
      expect(first).toBe(next)
      expect(from).toBe(frames[first].time)
      expect(to).toBeCloseTo((last + 1) / 30, 6)
      for (let frame = first; frame <= last; frame++) expect(frames[frame].label).toBe(label)
      next = last + 1
    }
    expect(next).toBe(391)
  })

  test('the same as text: aligned, without colours, within 80 columns', {
    tags: 'slow',
  }, async () => {
    const { code, stdout, stderr } = await run('classify', '--top-k', '3', '--frames', '100')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('models/tour.mp4')
    expect(stdout).toMatch(
      /^model: builtin on wasm \(.*\); decoder: \S.*; 100 frames in .* frames\/s$/m,
    )
    expect(stdout).toMatch(/^ {2}static +\d+\.\d % {2}█+/m)
    expect(stdout).toMatch(/^ {2}[a-d]{76}$/m)
    expect(stdout).toMatch(/^ {2}[a-d] {2}1\.\d\d–2\.\d\d s {2}pan right +\d+ %$/m)
    expect(stdout).not.toContain('\u001b')
    for (const line of lines(stdout).slice(2)) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('FORCE_COLOR colours, NO_COLOR does not', async () => {
    const inspect = async (environment: Record<string, string>) =>
      (await outcome(start(['inspect'], environment))).stdout
    expect(await inspect({ FORCE_COLOR: '1' })).toContain('\u001b[1mbuiltin\u001b[22m')
    expect(await inspect({ FORCE_COLOR: '1', NO_COLOR: '1' })).not.toContain('\u001b')
  })

  test('clips and views are those of the library', { tags: 'slow' }, async () => {
    const library = await TRecViT.load(model)
    const want = await library.classify(tour, { clips: 2, views: 3, stride: 6 })
    await library.dispose()
    const got = await json([
      'classify',
      tour,
      '--model',
      model,
      '--clips',
      '2',
      '--views',
      '3',
      '--stride',
      '6',
    ])
    expect(got['probs']).toEqual([...want.probs.data])
    expect(got).not.toHaveProperty('segments')
    expect(got['timing'].frames).toBe(want.frames)
  })

  test('sampling, labels and options reach the model', async () => {
    const labels = file('labels.txt', 'one\ntwo\nthree\n')
    const {
      top,
      frames,
      model: { config },
    } = await json([
      'classify',
      tour,
      '--model',
      model,
      '--labels',
      labels,
      '--frames',
      '4',
      '--frames-per-clip',
      '7',
    ])
    expect(top.map(({ label }: { label: string }) => label).sort()).toEqual(['one', 'three', 'two'])
    expect(frames.length).toBe(4)
    expect(config.framesPerClip).toBe(7)
  })
})

describe('stream', () => {
  test('y4m on standard input is the same file by its path', async () => {
    const bytes = y4m(5, 33, 17)
    const piped = await pipe(bytes, 'stream', '-', '--model', model, '--json')
    const opened = await run('stream', file('odd.y4m', bytes), '--model', model, '--json')
    expect(piped).toEqual(opened)
    const answers = lines(piped.stdout).map((line) => JSON.parse(line))
    expect(answers.map(({ frame, time }) => [frame, time])).toEqual([
      [0, 0],
      [1, 0.1],
      [2, 0.2],
      [3, 0.3],
      [4, 0.4],
    ])
    for (const { probs, prob, index, top } of answers) {
      expect(probs.length).toBe(3)
      expect(prob).toBe(Math.max(...probs))
      expect(top[0]).toEqual({ label: null, index, prob })
    }
  })

  test('as text, one aligned line a frame', { tags: 'slow' }, async () => {
    const { code, stdout } = await run('stream', tour, '--average', '8', '--frames', '60')
    expect(code).toBe(0)
    expect(lines(stdout).length).toBe(60)
    for (const line of lines(stdout))
      expect(line).toMatch(/^ {4}[ \d]\d {6}\d\.\d\d s {2}[ \d]{2}\d\.\d % {2}[a-z ]+$/)
    expect(lines(stdout)[59]).toContain('pan right')
  })

  test.each(['all', '4', 'half:3'])(
    'goes on bit by bit after a snapshot, averaging %s',
    { tags: 'slow' },
    async (average) => {
      const all = frames(12)
      const whole = await pipe(all, ...raw('--model', model, '--average', average))
      const state = join(folder, `state ${average.replace(':', '-')}`)
      const first = await pipe(
        all.subarray(0, 5 * 1200),
        ...raw('--model', model, '--average', average, '--snapshot', state),
      )
      const rest = await pipe(all.subarray(5 * 1200), ...raw('--model', model, '--resume', state))
      const facts = ({ stdout }: { stdout: string }) =>
        lines(stdout)
          .map((line) => JSON.parse(line))
          .map(({ frame, probs }) => ({ frame, probs }))
      expect(facts(whole).length).toBe(12)
      expect([...facts(first), ...facts(rest)]).toEqual(facts(whole))
      rmSync(state)
    },
  )

  test.each(['exact', 'f16'])(
    'writes a snapshot in the form %s, and goes on from it',
    { tags: 'slow' },
    async (form) => {
      const all = frames(6)
      const whole = await pipe(all, ...raw('--model', model))
      const state = join(folder, form)
      await pipe(
        all.subarray(0, 5 * 1200),
        ...raw('--model', model, '--snapshot', state, '--snapshot-form', form),
      )
      const { header } = decodeSnapshot(readFileSync(state))
      expect(header.states.some(({ dtype }) => dtype === 'f16')).toBe(form === 'f16')
      const { probs } = JSON.parse(
        (await pipe(all.subarray(5 * 1200), ...raw('--model', model, '--resume', state))).stdout,
      )
      const wanted = JSON.parse(lines(whole.stdout)[5]!).probs
      if (form === 'exact') expect(probs).toEqual(wanted)
      else
        wanted.forEach((value: number, index: number) => expect(probs[index]).toBeCloseTo(value, 3))
      rmSync(state)
    },
  )
})

describe('features', () => {
  test('npy and npz are those of the library, pooled and not', { tags: 'slow' }, async () => {
    const clip = file('clip.raw', frames(9))
    const outputs = [
      ['all.npy'],
      ['all.npz'],
      ['tok.npy', '--pool', 'tok'],
      ['gap.npz', '--pool', 'gap'],
    ]
    const facts = await Promise.all(
      outputs.map(([name, ...pool]) =>
        json([
          'features',
          clip,
          '--raw',
          '20x20',
          '--model',
          model,
          '-o',
          join(folder, name!),
          ...pool,
        ]),
      ),
    )
    expect(facts.map(({ shape }) => shape)).toEqual([
      [9, 5, 8],
      [9, 5, 8],
      [9, 8],
      [9, 8],
    ])

    const npz = await readAll(join(folder, 'all.npz'))
    expect([...npz.get('time')!.values]).toEqual(
      Array.from({ length: 9 }, (_, frame) => Math.fround(frame / 25)),
    )
    const { shape, values } = npz.get('features')!
    expect(shape).toEqual([9, 5, 8])
    expect(readNpy('all.npy')).toEqual({
      header: expect.stringContaining("'shape': (9, 5, 8)"),
      values,
    })
    const token = values.filter((_, i) => i % 40 < 8)
    expect(readNpy('tok.npy')).toEqual({
      header: expect.stringContaining("'shape': (9, 8)"),
      values: token,
    })
    const mean = (await readAll(join(folder, 'gap.npz'))).get('features')!.values
    for (let i = 0; i < mean.length; i++) {
      const [frame, column] = [Math.floor(i / 8), i % 8]
      expect(mean[i]).toBeCloseTo(
        [1, 2, 3, 4].reduce((sum, row) => sum + values[frame * 40 + row * 8 + column]!, 0) / 4,
        6,
      )
    }

    const library = await TRecViT.load(model)
    const { openVideo } = await import('../src/video/index.ts')
    const { toInput } = await import('../src/stream/input.ts')
    const pixels: number[] = []
    for await (const frame of await openVideo(clip, {
      format: { rawvideo: 'rgb24', width: 20, height: 20 },
    }))
      pixels.push(...(await toInput(frame, 1, tiny.imageSize)))
    const want = await library.features({ data: Uint8Array.from(pixels), shape: [9, 16, 16, 3] })
    await library.dispose()
    expect(values).toEqual(want.data)
    for (const [name] of outputs) rmSync(join(folder, name!))
  })

  function readNpy(name: string): { header: string; values: Float32Array } {
    const bytes = readFileSync(join(folder, name))
    const start = 10 + bytes.readUInt16LE(8)
    return {
      header: bytes.toString('latin1', 10, start),
      values: new Float32Array(Uint8Array.from(bytes.subarray(start)).buffer),
    }
  }
})

describe('inspect', () => {
  test('the built-in model', async () => {
    const found = await json(['inspect', '--tensors', '--program'])
    expect(found).toMatchObject({
      source: 'builtin',
      format: 'safetensors',
      parameters: 407562,
      dtypes: { f16: 407562 },
      ignored: [],
    })
    expect(found['config'].framesPerClip).toBe(16)
    expect(found['inferred']).toEqual({ framesPerClip: 'metadata', imageSize: 'metadata' })
    expect(found['labels'][2]).toBe('pan right')
    expect(found['tensors'].length).toBe(130)
    expect(found['program'].length).toBeGreaterThan(60)
    expect(found['gflopPerFrame']).toBeCloseTo(0.026, 3)
    expect((await run('inspect')).stdout).toMatch(/parameters +407,562/)
  })

  test('an official size, which nobody needs to have', async () => {
    const { parameters, config, labels, memory } = await json(['inspect', '--size', 'B'])
    expect(parameters).toBe(136_778_128)
    expect(config).toMatchObject({ width: 768, depth: 12 })
    expect(labels.length).toBe(400)
    expect(memory.weights).toBeGreaterThan(5e8)
  })

  test('reads no weights: of this file nothing but names and shapes is whole', async () => {
    const bytes = Buffer.from(
      readFileSync(new URL('../models/motion.safetensors', import.meta.url)),
    )
    bytes.fill(0xff, 8 + Number(bytes.readBigUInt64LE(0)))
    expect((await json(['inspect', file('hollow.safetensors', bytes)]))['parameters']).toBe(407562)
  })
})

describe('convert', () => {
  test('float32 keeps every bit, and the labels and the clip go along', async () => {
    const to = join(folder, 'tiny.safetensors')
    const said = await json([
      'convert',
      model,
      to,
      '--labels',
      file('labels.txt', 'one\ntwo\nthree\n'),
      '--frames-per-clip',
      '9',
    ])
    expect(said).toMatchObject({ dtype: 'f32', tensors: tinyTensors().size })
    const [before, after] = [await readAll(model), await readAll(to)]
    expect(after.size).toBe(before.size)
    for (const [name, { shape, values }] of before)
      expect(after.get(name)).toEqual({ shape, dtype: 'f32', values })
    const converted = await TRecViT.load(to)
    expect(converted.labels).toEqual(['one', 'two', 'three'])
    expect(converted.config.framesPerClip).toBe(9)
    const { fingerprint } = await TRecViT.load(model, { config: { framesPerClip: 9 } })
    expect(converted.fingerprint).toBe(fingerprint)

    // Not over a file that is there, unless it is said.
    expect(await run('convert', model, to, '--dtype', 'f16')).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^trecvit: .*is there already.*--force.*\n$/),
    })
    expect((await json(['convert', to, to, '--dtype', 'f16', '--force']))['bytes']).toBeLessThan(
      said['bytes'],
    )
    const halves = await TRecViT.load(to)
    expect(halves.labels).toEqual(['one', 'two', 'three'])
    expect(halves.config.framesPerClip).toBe(9)
    rmSync(to)
  })

  test(
    'int8 keeps the numbers with which the model computes, ' +
      'and takes a quarter of the room for them',
    async () => {
      const to = join(folder, 'whole.safetensors')
      await json(['convert', builtin, to, '--dtype', 'int8'])
      const logits = async (source: string, dtype?: 'f32' | 'int8') => {
        await using model = await TRecViT.load(source, { device: 'wasm', ...(dtype && { dtype }) })
        const { data } = (
          await model.stream().push({
            data: Uint8Array.from(
              { length: 96 * 96 * 3 },
              (_, at) => Math.imul(at, 0x9e3779b1) >>> 24,
            ),
            shape: [96, 96, 3],
          })
        ).logits
        return { dtype: model.dtype, data: [...data] }
      }
      const [want, got] = [await logits(builtin, 'int8'), await logits(to)]
      expect(got).toEqual(want)
      // Without int8, its numbers times their scales.
      const exact = await logits(to, 'f32')
      exact.data.forEach((value, index) =>
        expect(Math.abs(value - want.data[index]!)).toBeLessThan(
          0.1 * Math.max(...exact.data.map(Math.abs)),
        ),
      )
      expect(exact.data).not.toEqual(want.data)

      const checkpoint = await openCheckpoint(to)
      const name = 'encoder/encoderblock_0/MlpBlock_0/Dense_0/kernel'
      expect(checkpoint.tensors.get(name)).toMatchObject({ dtype: 'i8', shape: [64, 256] })
      expect(checkpoint.tensors.get(`${name}/scale`)).toMatchObject({ dtype: 'f32', shape: [256] })
      expect(checkpoint.tensors.get('tokenizer/embedding/kernel')).toMatchObject({ dtype: 'f32' })
      await checkpoint.close()
      // Numbers without their scales mean nothing.
      const bytes = readFileSync(to)
      bytes.write('kernel/scali', bytes.indexOf('Dense_0/kernel/scale') + 8)
      expect(await run('inspect', file('broken.safetensors', bytes))).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          joined(
            /has no tensor "encoder\/.*\/kernel\/scale" \[\d+\], /,
            /which its matrix of int8 numbers needs/,
          ),
        ),
      })
      rmSync(to)
    },
  )

  test('.onnx has inputs, outputs, labels, and refuses what it cannot hold', async () => {
    const to = join(folder, 'tiny.onnx')
    const said = await json(['convert', model, to, '--graph', 'clip', '--frames', '2'])
    expect(said).toMatchObject({ dtype: 'f32', graph: 'clip', frames: 2 })
    const bytes = readFileSync(to)
    expect(said['bytes']).toBe(bytes.length)
    const { inputs, outputs } = readOnnx(bytes)
    expect({ inputs, outputs }).toEqual({ inputs: said['inputs'], outputs: said['outputs'] })

    const half = await json(['convert', builtin, to, '--dtype', 'f16', '--force'])
    expect(half).toMatchObject({ dtype: 'f16', graph: 'step', frames: 1 })
    expect(JSON.parse(readOnnx(readFileSync(to)).metadata['labels']!)).toHaveLength(10)
    // From int8 its numbers times their scales.
    const coarse = join(folder, 'coarse.safetensors')
    await json(['convert', builtin, coarse, '--dtype', 'int8'])
    await json(['convert', coarse, to, '--force'])
    rmSync(coarse)
    rmSync(to)

    for (const [args, stderr] of [
      [[to, '--dtype', 'int8'], /^trecvit: An \.onnx file expected .*f32 or f16, got int8; .*\n$/],
      [[join(folder, 'a.safetensors'), '--frames', '2'], /^trecvit: --graph and --frames .*\n$/],
      [[join(folder, 'a.bin')], /^trecvit: .*ends in \.safetensors or \.onnx, got ".*a\.bin"\n$/],
    ] as const)
      expect(await run('convert', model, ...args)).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(stderr),
      })
    expect(await run('convert', model, to, '--graph', 'whole')).toMatchObject({ code: 2 })
  })

  test('float16 rounds to the nearest', async () => {
    const to = join(folder, 'half.safetensors')
    await json(['convert', model, to, '--dtype', 'f16'])
    const [before, after] = [await openCheckpoint(model), await openCheckpoint(to)]
    const name = 'decoder/cls_head/kernel'
    expect(after.tensors.get(name)).toMatchObject({ dtype: 'f16', shape: [4, 3] })
    const [want, got] = [await readTensor(before, name), await readTensor(after, name)]
    await Promise.all([before.close(), after.close()])
    got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(2 ** -12))
    rmSync(to)
  })
})

test('doctor: all that is needed works, and the built-in model answers as everywhere', async () => {
  // What drivers say when they are asked for a GPU goes to standard error.
  const { code, stdout } = await run('doctor', '--json')
  expect(code).toBe(0)
  const { healthy, findings, runtime } = JSON.parse(stdout)
  expect(findings).toContainEqual({
    name: 'WebGPU',
    state: expect.stringMatching(/ok|missing/),
    detail: expect.any(String),
  })
  expect(healthy).toBe(true)
  expect(runtime).toBe(`node ${process.versions.node}`)
  expect(findings).toContainEqual({
    name: 'built-in model',
    state: 'ok',
    detail: expect.stringContaining('right to the last bit'),
  })
})

test('TRECVIT_DEBUG tells the device, the time of each operation, each step', {
  tags: 'slow',
}, async () => {
  const debug = async (level: string) => {
    const child = start(raw('--model', model), { TRECVIT_DEBUG: level })
    child.stdin!.end(frames(1))
    return (await outcome(child)).stderr
  }
  expect(await debug('1')).toMatch(/^debug: wasm \(.*\)\n$/)
  expect(await debug('2')).toMatch(
    /^debug: wasm .*\n(debug: +\d+\.\d+ ms {2}\w+\n)+debug: +\d+\.\d+ ms {2}one frame\n$/,
  )
  expect(await debug('3')).toMatch(/ms {2}attention +encoder\/encoderblock_0\/\S+ +\[1,1,5,8\]\n/)
})
