// @module-tag slow
import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  BufferTarget,
  EncodedAudioPacketSource,
  EncodedPacket,
  Mp4OutputFormat,
  Output,
} from 'mediabunny'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { media } from './clips.ts'
import {
  file,
  folder,
  rawFrames as frames,
  lines,
  noise,
  npzOf,
  type Outcome,
  outcome,
  pipe,
  raw,
  start,
  tinyNpz,
  tinyTensors,
  y4m,
} from './commandLine.ts'

const tour = fileURLToPath(new URL('../models/tour.mp4', import.meta.url))

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

/** A command line, the expected message, and standard input. */
type Refusal = readonly [args: string[], message: RegExp, input?: Uint8Array]

/** Asserts exit code 1, one sentence without a stack trace, and no new file. */
async function refused(...cases: Refusal[]): Promise<void> {
  const before = readdirSync(folder)
  await Promise.all(
    cases.map(async ([args, message, input]) => {
      const { code, stdout, stderr } = await pipe(input, ...args)
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^trecvit: [^\n]+[^\n.]\n$/),
      })
      expect(stderr).toMatch(message)
      expect(stderr).not.toContain('Error')
    }),
  )
  expect(readdirSync(folder)).toEqual(before)
}

describe('bad input gets one sentence', () => {
  const kernel = 'decoder/cls_head/kernel'
  const wholeModel = () => readFileSync(model)
  // In npm test one command with each kind of model and video.
  const badModel = (make: () => Uint8Array | undefined) => {
    const bytes = make()
    return bytes ? file('bad.npz', bytes) : join(folder, 'nowhere.npz')
  }
  const models: readonly [string, () => Uint8Array | undefined, RegExp][] = [
    ['missing', () => undefined, /no file/i],
    ['empty', () => new Uint8Array(0), /empty/],
    ['cut short', () => wholeModel().subarray(0, -300), /cut short|damaged|truncated/i],
    ['of another kind', () => Buffer.from('{"a": 1}'), /JSON/],
    [
      'with Python objects',
      () => tinyNpz(kernel, (tensor) => ({ ...tensor, descr: '|O' })),
      /Python objects/,
    ],
    [
      'with integers',
      () => tinyNpz(kernel, (tensor) => ({ ...tensor, descr: '<i4' })),
      /cls_head\/kernel.*floating-point.*i32/,
    ],
    [
      'with a shape that does not fit',
      () => tinyNpz('tokenizer/cls', (tensor) => ({ ...tensor, shape: [1, 2, 4] })),
      /tokenizer\/cls.*expected shape \[1,1,8\].*got \[1,2,4\]/,
    ],
    [
      'without a tensor',
      () => tinyNpz(kernel, () => undefined),
      /no tensor "decoder\/cls_head\/kernel"/,
    ],
    ['with one too many', () => tinyNpz('encoder/extra', (tensor) => tensor), /encoder\/extra/],
  ]
  test.each(models)('stream with a model that is %s', async (_, make, message) => {
    const path = badModel(make)
    await refused([['stream', '-', '--raw', '20x20', '--model', path], message, frames(2)])
  })
  test.each(models)('convert and features with a model that is %s', async (_, make, message) => {
    const path = badModel(make)
    await refused(
      [['convert', path, join(folder, 'out.safetensors')], message],
      [['features', tour, '--model', path, '-o', join(folder, 'out.npy')], message],
    )
  })

  const badVideo = async (make: () => Promise<Uint8Array> | Uint8Array | undefined) => {
    const bytes = await make()
    return bytes ? file('bad.mp4', bytes) : join(folder, 'nowhere.mp4')
  }
  const videos: readonly [string, () => Promise<Uint8Array> | Uint8Array | undefined, RegExp][] = [
    ['missing', () => undefined, /no file/i],
    ['empty', () => new Uint8Array(0), /empty/],
    [
      'cut short before its first frame',
      () => readFileSync(tour).subarray(0, 9_000),
      /cut short|damaged|index/,
    ],
    ['sound only', soundOnly, /no video/],
    [
      'a text',
      () => Buffer.from('This is not a video at all, but it is long enough to be one.'),
      /no video of a known kind/,
    ],
    ['y4m without a whole frame', () => y4m(1, 33, 17).subarray(0, -5), /cut short/],
  ]
  test.each(videos)('classify with a video that is %s', async (_, make, message) => {
    await refused([['classify', await badVideo(make), '--model', model], message])
  })
  test.each(videos)('features with a video that is %s', async (_, make, message) => {
    const path = await badVideo(make)
    await refused(
      [['features', path, '--model', model, '-o', join(folder, 'out.npy')], message],
      [['features', path, '--model', model, '-o', join(folder, 'out.npz')], message],
    )
  })

  test('raw pictures of a wrong size', async () => {
    const refusal = /cut short.*20x20/
    await refused([['classify', '-', '--raw', '20x20', '--model', model], refusal, noise(1000)])
    // After complete pictures, the result for these is kept.
    expect(
      await pipe(noise(3000), 'classify', '-', '--raw', '20x20', '--model', model),
    ).toMatchObject({ code: 1, stderr: expect.stringMatching(refusal) })
  })

  test('snapshots that are damaged, of another model, or none', async () => {
    const state = join(folder, 'state')
    await pipe(frames(3), ...raw('--model', model, '--snapshot', state))
    await refused([raw('--resume', state), /another|was taken from model/, frames(2)])
    const bytes = readFileSync(state)
    bytes[bytes.length - 40]! ^= 1
    await refused(
      [raw('--model', model, '--resume', file('flipped', bytes)), /damaged/, frames(2)],
      [raw('--model', model, '--resume', tour), /TRVS/, frames(2)],
      [raw('--model', model, '--resume', state, '--average', '4'), /--average/, frames(2)],
      [raw('--model', model, '--resume', join(folder, 'nowhere')), /cannot be read/, frames(2)],
    )
  })

  test('options and places that do not fit', async () => {
    await refused(
      [['classify', '--labels', file('two.txt', 'one\ntwo')], /10 names/],
      [['classify', '--labels', join(folder, 'nowhere.txt')], /cannot be read/],
      [['features', tour, '-o', join(folder, 'out.txt')], /\.npy or \.npz/],
      [['features', tour, '-o', join(model, 'out.npy')], /cannot be written/],
      [['convert', model, join(folder, 'out.npz')], /\.safetensors/],
      [['stream', '--average', '100000'], /average/],
      [['stream', '--reset-every', '7'], /"--reset-every" expected at least the 8 frames/],
      [['stream', '--snapshot', join(model, 'state')], /cannot be written/],
      [['stream', '--snapshot-form', 'f16'], /"--snapshot-form" expected "--snapshot <file>"/],
    )
  })

  test('with TRECVIT_DEBUG there is a stack trace', async () => {
    const { stderr } = await outcome(
      start(['inspect', join(folder, 'nowhere')], { TRECVIT_DEBUG: '1' }),
    )
    expect(stderr).toMatch(/^trecvit: [^\n]+\n[\s\S]*\n {4}at /)
  })
})

describe('warnings', () => {
  test.each<[string, () => Uint8Array, RegExp]>([
    [
      'tensors outside the model',
      () => tinyNpz('optimizer/step', (tensor) => tensor),
      /^warning: .*ignored: "optimizer\/step"\n$/,
    ],
    [
      'values that are not numbers',
      () =>
        tinyNpz('decoder/cls_head/bias', (tensor) => ({
          ...tensor,
          contents: new Uint8Array(12).fill(0xff),
        })),
      /^warning: "decoder\/cls_head\/bias".*3 values.*not finite.*\n$/,
    ],
  ])('%s', async (_, make, message) => {
    const { code, stdout, stderr } = await pipe(
      frames(2),
      ...raw('--model', file('odd.npz', make())),
    )
    expect(code).toBe(0)
    expect(stderr).toMatch(message)
    expect(lines(stdout).length).toBe(2)
    expect(
      (await pipe(frames(2), ...raw('--quiet', '--model', join(folder, 'odd.npz')))).stderr,
    ).toBe('')
  })

  test('Fortran order gives no warning', async () => {
    const tensors = tinyTensors()
    const name = 'decoder/cls_head/kernel'
    const { contents, ...rest } = tensors.get(name)!
    const values = new Float32Array(contents.slice().buffer)
    const turned = Float32Array.from(
      { length: 12 },
      (_, i) => values[(i % 4) * 3 + Math.floor(i / 4)]!,
    )
    tensors.set(name, { ...rest, fortran: true, contents: new Uint8Array(turned.buffer) })
    const path = file('fortran.npz', npzOf(tensors))
    expect(await pipe(frames(3), ...raw('--model', path))).toEqual(
      await pipe(frames(3), ...raw('--model', model)),
    )
  })
})

describe('early ends', () => {
  /**
   * Writes frames as long as they are accepted. Calls `then` after enough of them that processing
   * must have started.
   */
  function endless(args: string[], then: (child: ChildProcess) => void): Promise<Outcome> {
    const child = start(args)
    const chunk = frames(20)
    let waiting = 80
    const feed = () => {
      while (child.stdin!.writable && child.stdin!.write(chunk)) waiting--
      if (waiting < 0) {
        waiting = Infinity
        then(child)
      }
    }
    child
      .stdin!.on('error', () => {})
      .on('drain', () => {
        waiting--
        feed()
      })
    feed()
    return outcome(child)
  }

  const interrupt = (child: ChildProcess) => void child.kill('SIGINT')

  test('Ctrl-C ends a stream with whole lines and its snapshot', async () => {
    const state = join(folder, 'interrupted')
    const { code, stdout, stderr } = await endless(
      raw('--model', model, '--snapshot', state),
      interrupt,
    )
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(stdout.endsWith('\n')).toBe(true)
    const answers = lines(stdout).map((line) => JSON.parse(line))
    expect(answers.length).toBeGreaterThan(0)
    expect(answers.map(({ frame }) => frame)).toEqual(answers.map((_, index) => index))
    const next = await pipe(frames(1), ...raw('--model', model, '--resume', state))
    expect(JSON.parse(next.stdout).frame).toBe(answers.length)
    rmSync(state)
  })

  test('Ctrl-C ends a stream even if no frame has to be waited for', async () => {
    // More pictures than can be processed in the time of this test. Each read of the file returns
    // thousands of them.
    const path = file('small.raw', noise(12 * 100_000))
    const child = start(['stream', path, '--raw', '2x2', '--model', model])
    child.stdout!.once('data', () => child.kill('SIGINT'))
    const { code, stdout } = await outcome(child)
    expect(code).toBe(130)
    expect(lines(stdout).length).toBeLessThan(10_000)
    rmSync(path)
  })

  test('Ctrl-C ends classify with the answer so far', async () => {
    const { code, stdout, stderr } = await endless(
      ['classify', '-', '--raw', '20x20', '--json', '--model', model],
      interrupt,
    )
    expect(code).toBe(130)
    const { interrupted, top, frames } = JSON.parse(stdout)
    expect(interrupted).toBe(true)
    expect(top.length).toBe(3)
    expect(stderr).toBe(`interrupted: this is the answer after ${frames.length} frames\n`)
  })

  test.each(['npy', 'npz'])('Ctrl-C leaves no half of a .%s', async (kind) => {
    const before = readdirSync(folder)
    const ended = await endless(
      ['features', '-', '--raw', '20x20', '--model', model, '-o', join(folder, `out.${kind}`)],
      (child) => {
        expect(readdirSync(folder).length).toBe(before.length + 1)
        interrupt(child)
      },
    )
    expect(ended).toEqual({ code: 130, stdout: '', stderr: '' })
    expect(readdirSync(folder)).toEqual(before)
  })

  test.skipIf(process.platform === 'win32').each(['SIGHUP', 'SIGTERM'] as const)(
    '%s writes the snapshot, and leaves no other file',
    async (signal) => {
      const before = readdirSync(folder)
      const { code, stdout, stderr } = await endless(
        raw('--model', model, '--snapshot', join(folder, 'hung.up')),
        (child) => void child.kill(signal),
      )
      expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
      expect(readdirSync(folder).sort()).toEqual([...before, 'hung.up'].sort())
      const next = await pipe(
        frames(1),
        ...raw('--model', model, '--resume', join(folder, 'hung.up')),
      )
      expect(JSON.parse(next.stdout).frame).toBe(lines(stdout).length)
      rmSync(join(folder, 'hung.up'))
    },
  )

  test.skipIf(!existsSync('/dev/full'))(
    'a snapshot that cannot be written after Ctrl-C is an error',
    async () => {
      symlinkSync('/dev/full', join(folder, 'full'))
      const { code, stderr } = await endless(raw('--model', model, '--snapshot', 'full'), interrupt)
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(/^trecvit: "full" cannot be written \(ENOSPC\)[^\n]*\n$/),
      })
      rmSync(join(folder, 'full'))
    },
  )

  test('a closed standard output ends the command without a message', async () => {
    const { code, stderr } = await endless(raw('--model', model), (child) =>
      child.stdout!.destroy(),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

describe('a video that breaks off', () => {
  const damaged = () => readFileSync(tour).fill(0, 12_000, 15_000)
  const kinds: [string, Uint8Array, string[], RegExp][] = [
    [
      'raw pictures',
      frames(5).subarray(0, -700),
      ['--raw', '20x20'],
      /cut short: frame 4 has 500 of the 1200 bytes/,
    ],
    ['y4m', y4m(5, 33, 17).subarray(0, -5), [], /cut short: frame 4 has/],
    [
      'y4m with garbage',
      Buffer.concat([y4m(4, 33, 17), Buffer.from('\n\nnonsense')]),
      [],
      /where frame 4 of the y4m stream should start/,
    ],
    [
      'an mp4 cut short',
      readFileSync(tour).subarray(0, 12_000),
      [],
      /is cut short: frames that its index names lie beyond its end/,
    ],
    [
      'a damaged mp4',
      damaged(),
      ['--decoder', 'ffmpeg'],
      /cannot be decoded beyond .*: it is damaged there/,
    ],
  ]

  test.each(kinds)(
    '%s: classify and stream keep the answers so far',
    async (_, bytes, options, message) => {
      const state = join(folder, 'broken.state')
      const classify = ['classify', '-', ...options, '--json', '--model', model]
      const [streamed, classified, views] = await Promise.all([
        pipe(bytes, 'stream', '-', ...options, '--json', '--model', model, '--snapshot', state),
        pipe(bytes, ...classify),
        pipe(bytes, ...classify, '--views', '3'),
      ])
      expect(streamed).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^trecvit: [^\n]+\n$/),
      })
      expect(streamed.stderr).toMatch(message)
      const count = lines(streamed.stdout).length
      expect(count).toBeGreaterThanOrEqual(4)
      // The snapshot is that of a stream which ends there.
      const next = await pipe(frames(1), ...raw('--model', model, '--resume', state))
      expect(JSON.parse(next.stdout).frame).toBe(count)
      rmSync(state)

      expect(classified).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /^interrupted: this is the answer after \d+ frames\ntrecvit: [^\n]+\n$/,
        ),
      })
      const { error, frames: answers } = JSON.parse(classified.stdout)
      expect(error).toMatch(message)
      expect(classified.stderr).toContain(`after ${answers.length} frames\n`)
      // FFmpeg itself writes the last picture before the damage, or does not: its output is a
      // thread that ends with the process.
      const lost = options.includes('ffmpeg') ? 1 : 0
      expect(Math.abs(answers.length - count)).toBeLessThanOrEqual(lost)
      // Also with one clip and three views.
      expect(JSON.parse(views.stdout).error).toMatch(message)
    },
  )

  test.each([
    ['skip', /^warning: .* is damaged near \d\.\d{3} s [^\n]+\n/],
    ['stop', /^warning: .* cannot be decoded beyond \d\.\d{3} s [^\n]+\n/],
  ])('--on-error %s answers with a warning that contains the time', async (action, message) => {
    const avi = readFileSync(media('mpeg4.avi')).fill(0x55, 9000, 9400)
    const options = ['--json', '--model', model, '--on-error', action]
    const { code, stdout, stderr } = await pipe(avi, 'classify', '-', ...options)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(message) })
    expect(JSON.parse(stdout).frames.length).toBeGreaterThan(0)
  })

  test.each(['npy', 'npz'])('features keeps the frames so far in an .%s', async (kind) => {
    const [bytes, whole] = [join(folder, `broken.${kind}`), join(folder, `whole.${kind}`)]
    const broken = await pipe(
      frames(5).subarray(0, -700),
      'features',
      '-',
      '--raw',
      '20x20',
      '--model',
      model,
      '-o',
      bytes,
    )
    expect(broken).toEqual({
      code: 1,
      stdout: `${bytes}: float32 [4, 5, 8]\n`,
      stderr: expect.stringMatching(/^trecvit: .*cut short: frame 4 has 500/),
    })
    expect(
      (await pipe(frames(4), 'features', '-', '--raw', '20x20', '--model', model, '-o', whole))
        .code,
    ).toBe(0)
    expect(readFileSync(bytes)).toEqual(readFileSync(whole))
    rmSync(bytes)
    rmSync(whole)
  })
})

/** Returns an .mp4 with an audio track but no video track. */
async function soundOnly(): Promise<Uint8Array> {
  const output = new Output({ format: new Mp4OutputFormat(), target: new BufferTarget() })
  const sound = new EncodedAudioPacketSource('pcm-s16')
  output.addAudioTrack(sound)
  await output.start()
  await sound.add(new EncodedPacket(new Uint8Array(9600), 'key', 0, 0.1), {
    decoderConfig: { codec: 'pcm-s16', sampleRate: 48000, numberOfChannels: 1 },
  })
  await output.finalize()
  return new Uint8Array(output.target.buffer!)
}
