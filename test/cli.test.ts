/** The command line: help, inspect, doctor, and TRECVIT_DEBUG. */
import { readFileSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { decoders } from '../src/cli/doctor.ts'
import {
  file,
  folder,
  rawFrames as frames,
  json,
  outcome,
  raw,
  run,
  start,
  tinyNpz,
} from './commandLine.ts'

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

describe('help', () => {
  test('every command has help with examples; exit codes are listed', {
    tags: 'slow',
  }, async () => {
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

  test('invalid arguments exit with 2 and one line', { tags: 'slow' }, async () => {
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

describe('inspect', () => {
  test('the built-in model', { tags: 'slow' }, async () => {
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

  test('an official size, without its weights', { tags: 'slow' }, async () => {
    const { parameters, config, labels, memory } = await json(['inspect', '--size', 'B'])
    expect(parameters).toBe(136_778_128)
    expect(config).toMatchObject({ width: 768, depth: 12 })
    expect(labels.length).toBe(400)
    expect(memory.weights).toBeGreaterThan(5e8)
  })

  test('reads no weights: of this file nothing but names and shapes is whole', {
    tags: 'slow',
  }, async () => {
    const bytes = Buffer.from(
      readFileSync(new URL('../models/motion.safetensors', import.meta.url)),
    )
    bytes.fill(0xff, 8 + Number(bytes.readBigUInt64LE(0)))
    expect((await json(['inspect', file('hollow.safetensors', bytes)]))['parameters']).toBe(407562)
  })
})

test('doctor: every check passes, and the built-in model has the expected answer', {
  tags: 'slow',
}, async () => {
  // Drivers print messages on standard error when a GPU is requested.
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
    detail: expect.stringContaining('bit-exact'),
  })
})

test('doctor: the advice for a missing decoder is of that decoder alone', {
  tags: 'slow',
}, async () => {
  vi.stubEnv('PATH', '/nowhere')
  const findings = await decoders(new AbortController().signal)
  vi.unstubAllEnvs()
  expect(findings.find(({ name }) => name === 'decoder ffmpeg')).toMatchObject({
    detail: expect.stringMatching(
      /^ffmpeg is not installed; install ffmpeg, for example with [^;]*$/,
    ),
  })
})

test.each([
  [['clasify'], "unknown command 'clasify'; did you mean classify?"],
  [['classify', '--vt', '2'], "unknown option '--vt'; did you mean --vtt?"],
  [['pull', '--ye', 'k400'], "unknown option '--ye'; did you mean --yes?"],
  [
    ['classify', '--top-k', 'x'],
    "option '-k, --top-k <n>' argument 'x' is invalid. Expected an integer, at least 1",
  ],
])('%j is refused in one sentence with one bracket', { tags: 'slow' }, async (args, sentence) => {
  expect(await run(...args)).toEqual({
    code: 2,
    stdout: '',
    stderr: `trecvit: ${sentence} (--help shows what is possible)\n`,
  })
})

test('TRECVIT_DEBUG prints the device, the time of each operation, and each step', {
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
