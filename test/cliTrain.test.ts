/** trecvit train and evaluate: from labelled videos to a model that names them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listLabelled } from '../src/cli/labelled.ts'
import { TRecViT } from '../src/index.ts'
import { loadParameters } from '../src/train/index.ts'
import { hasFfmpeg } from './clips.ts'
import { file, folder, lines, outcome, run, start, y4m } from './commandLine.ts'

const data = join(folder, 'actions')
const labels = ['bright', 'dark']

/** An uncompressed clip of 32×24 pixels, all of one grey. */
function grey(frames: number, value: number): Buffer {
  const frame = Buffer.concat([
    Buffer.from('FRAME\n'),
    Buffer.alloc(32 * 24, value),
    Buffer.alloc(32 * 12, 128),
  ])
  const header = Buffer.from('YUV4MPEG2 W32 H24 F25:1 Ip A1:1 C420\n')
  return Buffer.concat([header, ...Array.from({ length: frames }, () => frame)])
}

beforeAll(() => {
  for (const label of labels) {
    mkdirSync(join(data, label), { recursive: true })
    for (let i = 0; i < 4; i++)
      writeFileSync(
        join(data, label, `${i}.y4m`),
        grey(6 + i, label === 'dark' ? 30 + 5 * i : 180 + 10 * i),
      )
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

const train = (...args: string[]) => run('train', data, '--frames', '6', ...args)
const out = (name: string) => file(name)

describe('videos and their classes are listed', () => {
  test('from a folder of folders', async () => {
    const videos = await listLabelled(data)
    expect(videos.map(({ label }) => label)).toEqual(
      labels.flatMap((label) => Array(4).fill(label)),
    )
    expect(videos[0]!.source).toBe(join(data, 'bright/0.y4m'))
  })

  test('from a table, with paths relative to it', async () => {
    const table = file('list.csv', '# path class\nactions/dark/0.y4m 1\n\n"x y".mp4,0\r\n')
    expect(await listLabelled(table)).toEqual([
      { source: join(data, 'dark/0.y4m'), label: '1' },
      { source: join(folder, '"x y".mp4'), label: '0' },
    ])
    const quoted = file('quoted.csv', '"a,""b"".mp4","3"\r\nhttps://example.org/a.mp4 4\n')
    expect(await listLabelled(quoted)).toEqual([
      { source: join(folder, 'a,"b".mp4'), label: '3' },
      { source: 'https://example.org/a.mp4', label: '4' },
    ])
    const broken = file('broken.csv', 'actions/dark/0.y4m\n')
    await expect(listLabelled(broken)).rejects.toThrow(
      'Line 1 of "broken.csv"'.replace('broken.csv', broken),
    )
  })

  test('videos without classes are refused', async () => {
    await expect(listLabelled(join(data, 'dark'))).rejects.toThrow(
      'expected a folder for each class',
    )
    await expect(listLabelled(join(folder, 'none'))).rejects.toThrow('cannot be read (ENOENT)')
    const expected = /; give a folder with a folder of videos for each class, or a text file of /
    const bytes = Uint8Array.of(0, 0, 0, 32, 102)
    for (const [name, reason] of [
      ['clip.mp4', /^"[^"]*clip.mp4" is a video, not a list of videos;/],
      ['clip.bin', /^"[^"]*clip.bin" is not a text file;/],
    ] as const) {
      const given = listLabelled(file(name, bytes))
      await expect(given).rejects.toThrow(reason)
      await expect(given).rejects.toThrow(expected)
    }
  })
})

test('a trained head names the classes', { tags: 'slow', timeout: 60_000 }, async () => {
  const path = out('mine.safetensors')
  const trained = await train('--only', 'head', '--epochs', '40', '-o', path)
  expect(trained).toMatchObject({ code: 0 })
  expect(trained.stderr).toMatch(/Trained 2 classes on 8 videos in 40 steps, loss 0\.\d+: .*mine/)
  await using model = await TRecViT.load(readFileSync(path), { device: 'wasm' })
  await using builtin = await TRecViT.load('builtin', { device: 'wasm' })
  expect(model.labels).toEqual(labels)
  expect(model.config).toEqual({ ...builtin.config, numClasses: 2 })
  const html = out('report.html')
  const views = ['--clips', '1', '--views', '3']
  const args = ['evaluate', data, '--model', path, ...views, '--html', html, '--json']
  const { code, stdout, stderr } = await run(...args)
  expect(code).toBe(0)
  expect(stderr).toBe(`Wrote ${html}\n`)
  expect(readFileSync(html, 'utf8')).toMatch(/<title>Accuracy<\/title>.*100\.0 %/s)
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ videos: 8, top1: 1, top5: 1, errors: [] },
    classes: labels.map((label) => ({ label, videos: 4, top1: 1, answers: { [label]: 4 } })),
  })
})

test('the same seed gives the same file, and --json a line a step', {
  tags: 'slow',
  timeout: 60_000,
}, async () => {
  const files = []
  for (const threads of ['1', '2']) {
    const path = out(`seed${threads}.safetensors`)
    const { code, stdout } = await train(
      ...['--only', 'head', '--epochs', '2', '--batch', '4', '--json', '--threads', threads],
      ...['-o', path],
    )
    expect(code).toBe(0)
    const steps = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(steps.map(({ step, epoch }) => [step, epoch])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
    ])
    files.push(readFileSync(path))
  }
  expect(files[0]!.equals(files[1]!)).toBe(true)
})

test('a model of the same classes keeps its head', { tags: 'slow', timeout: 60_000 }, async () => {
  const path = out('more.safetensors')
  const { code, stdout } = await train(
    ...['--from', out('mine.safetensors'), '--only', 'head', '--epochs', '1', '--json', '-o', path],
  )
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ step: 1, accuracy: 1 })
})

/** Starts a command, sends SIGINT after its first step, and runs it again with --resume. */
async function interrupted(path: string, ...args: string[]) {
  const child = start([...args, '--json', '-o', path])
  child.stdout!.once('data', () => child.kill('SIGINT'))
  const { code, stderr, stdout } = await outcome(child)
  expect(code).toBe(130)
  expect(stderr).toMatch(/has the state after step \d+ of \d+. Continue with: trecvit .*--resume/)
  const resumed = await run(...args, '--json', '-o', path, '--resume')
  expect(resumed).toMatchObject({ code: 0, stderr: '' })
  return [...lines(stdout), ...lines(resumed.stdout)].map((line) => JSON.parse(line).loss)
}

test('a training that Ctrl-C ended is continued to the same bits', {
  tags: 'slow',
  timeout: 60_000,
}, async () => {
  const base = ['train', data, '--only', 'head', '--frames', '6', '--epochs', '100']
  const args = [...base, '--batch', '2', '--ema', '0.9']
  const path = out('stopped.safetensors')
  const losses = await interrupted(path, ...args)
  const unbroken = await run(...args, '--json', '-o', out('unbroken.safetensors'))
  expect(losses).toEqual(lines(unbroken.stdout).map((line) => JSON.parse(line).loss))
  expect(readFileSync(path).equals(readFileSync(out('unbroken.safetensors')))).toBe(true)
  const finished = await run(...args, '-o', path, '--resume')
  expect(finished.stderr).toMatch(/expected bytes from "save", got a model without moments/)
})

test('a state of other classes is not continued', { tags: 'slow', timeout: 60_000 }, async () => {
  const others = file('others.csv', 'actions/dark/0.y4m 1\nactions/bright/0.y4m 0\n')
  const { stderr } = await run('train', others, '-o', out('mine.safetensors'), '--resume')
  expect(stderr).toMatch(/mine.safetensors" has other classes than the videos/)
})

describe.skipIf(!hasFfmpeg())('motion', () => {
  /** Clips of one picture of a real video, moved by ffmpeg: ten to train with, five to test. */
  function makeClips(): string {
    const clips = join(folder, 'motion')
    const video = fileURLToPath(new URL('../models/lake.mp4', import.meta.url))
    for (let k = 0; k < 15; k++) {
      const [y, speed] = [10 + 4 * k, 2 + (k % 3)]
      const centre = "x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2'"
      for (const [label, filter] of Object.entries({
        left: `crop=200:200:240-${speed}*n:${y}`,
        right: `crop=200:200:20+${speed}*n:${y}`,
        closer: `zoompan=z='1+0.0${1 + (k % 2)}*on':${centre}:d=1:s=200x200:fps=30`,
        still: `crop=200:200:${20 + 10 * k}:${y}`,
      })) {
        const own = join(clips, k < 10 ? 'train' : 'test', label)
        mkdirSync(own, { recursive: true })
        execFileSync('ffmpeg', [
          ...['-v', 'error', '-ss', String(0.9 * k), '-i', video],
          ...['-vf', `select=eq(n\\,0),loop=-1:1,${filter},format=yuv420p`],
          ...['-frames:v', '20', '-r', '30', join(own, `${k}.mp4`)],
        ])
      }
    }
    return clips
  }

  test('is learnt from 40 clips in a minute', { tags: 'slow', timeout: 300_000 }, async () => {
    const clips = makeClips()
    const path = out('motion.safetensors')
    const begin = performance.now()
    const trained = await run('train', join(clips, 'train'), '--only', 'head', '-o', path)
    expect(trained.code).toBe(0)
    expect(performance.now() - begin).toBeLessThan(60_000)
    const { stdout } = await run('evaluate', join(clips, 'test'), '--model', path, '--json')
    const { videos, top1 } = JSON.parse(stdout)
    expect(videos).toBe(20)
    expect(top1).toBeGreaterThanOrEqual(0.95)
  })
})

test('an encoder learns without labels, and a head is trained from it', {
  tags: 'slow',
  timeout: 60_000,
}, async () => {
  const encoder = out('encoder.safetensors')
  const size = ['--size', 'mu', '--image-size', '64x64', '--frames', '2', '--stride', '1']
  const options = [...size, '--epochs', '10', '--batch', '4', '--augment']
  const losses = await interrupted(encoder, 'pretrain', data, ...options)
  const unbroken = out('encoder2.safetensors')
  const html = out('pretrain.html')
  const more = ['--html', html, '--json']
  const { stdout } = await run('pretrain', data, ...options, ...more, '-o', unbroken)
  expect(readFileSync(html, 'utf8').match(/aria-label="(Recon|Loss)/g)).toHaveLength(5)
  expect(lines(stdout).map((line) => JSON.parse(line).loss)).toEqual(losses)
  expect(readFileSync(encoder).equals(readFileSync(unbroken))).toBe(true)
  await using model = await TRecViT.load(readFileSync(encoder), { device: 'wasm' })
  expect(model.config).toMatchObject({ numClasses: 0, poolType: 'gap', framesPerClip: 2 })
  const path = out('from.safetensors')
  const page = out('train.html')
  const head = ['--only', 'head', '--epochs', '1', '--html', page, '--from', encoder, '-o', path]
  expect(await train(...head)).toMatchObject({ code: 0 })
  expect(readFileSync(page, 'utf8')).toContain('aria-label="Accuracy')
})

test('an encoder is trained further, without the head of its model', {
  ...{ tags: 'slow', timeout: 60_000 },
}, async () => {
  const path = out('further.safetensors')
  const options = ['--frames', '2', '--epochs', '1', '--lr', '1e-9', '--from', 'builtin']
  expect(await run('pretrain', data, ...options, '--quiet', '-o', path)).toMatchObject({ code: 0 })
  await using model = await TRecViT.load(readFileSync(path), { device: 'wasm' })
  expect(model.config).toMatchObject({ numClasses: 0, poolType: 'gap' })
  const from = await loadParameters('builtin', model.config)
  const found = await loadParameters(readFileSync(path), model.config)
  expect([...found.keys()]).toEqual([...from.keys()])
  for (const [name, values] of found)
    expect(
      Math.max(...values.map((value, i) => Math.abs(value - from.get(name)![i]!))),
    ).toBeLessThan(1e-7)
  const both = await run('pretrain', data, '--from', 'builtin', '--size', 'Ti', '-o', path)
  expect(both).toMatchObject({ code: 2 })
})

test('augmented clips differ in each epoch and by the seed', {
  tags: 'slow',
  timeout: 60_000,
}, async () => {
  const losses = async (...args: string[]) => {
    const more = ['--frames', '2', '--lr', '1e-9', '--epochs', '3', '--batch', '4']
    const base = ['train', data, '--only', 'head', ...more, '--json']
    const { code, stdout } = await run(...base, ...args, '-f', '-o', out('augmented.safetensors'))
    expect(code).toBe(0)
    return lines(stdout).map((line) => JSON.parse(line).loss.toFixed(6))
  }
  const augmented = await losses('--augment', '--stride', '1-2')
  expect(new Set(augmented).size).toBe(6)
  expect(await losses('--flip', '--stride', '1-2', '--seed', '2')).not.toEqual(augmented)
})

test('a range of strides is refused without --augment', { tags: 'slow' }, async () => {
  const path = out('strides.safetensors')
  expect((await train('--stride', '1-3', '-o', path)).stderr).toMatch(
    /"--stride" of 1-3 expected --augment, which draws from the range; give one number/,
  )
  expect((await train('--stride', '3-1', '-o', path)).stderr).toMatch(/or a range like 1-3/)
})

test('a class that the model does not have is refused', { tags: 'slow' }, async () => {
  const { code, stderr } = await run('evaluate', data, '--model', 'builtin')
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /has the class "bright", which the model does not have; its classes are "static"/,
  )
})

test('classes may be given by number, as in the lists of Kinetics', { tags: 'slow' }, async () => {
  const video = file('seen.y4m', y4m(2, 96, 96))
  const evaluated = (label: string) =>
    run('evaluate', file('numbers.txt', `${video} ${label}\n`), '--model', 'builtin', '--json')
  expect(JSON.parse((await evaluated('2')).stdout)).toMatchObject({
    classes: [{ label: 'pan right', videos: 1 }],
  })
  const { code, stderr } = await evaluated('10')
  expect(code).toBe(1)
  expect(stderr).toMatch(/has the class "10", which the model does not have/)
})

test('Ctrl-C ends an evaluation with the videos so far', { tags: 'slow' }, async () => {
  // 2,000 videos take a minute.
  const line = `${file('long.y4m', y4m(60, 96, 96))} 2\n`
  const list = file('long.txt', line.repeat(2000))
  const interrupted = (seconds: number) => {
    const child = start(['evaluate', list, '--model', 'builtin', '--json'])
    setTimeout(() => child.kill('SIGINT'), 1000 * seconds)
    return outcome(child)
  }
  let { code, stdout, stderr } = await interrupted(4)
  // On a busy machine the first video may take longer.
  for (let seconds = 8; stdout === '' && seconds <= 16; seconds *= 2)
    ({ code, stdout, stderr } = await interrupted(seconds))
  expect(code).toBe(130)
  expect(stderr).toMatch(/interrupted: this is the accuracy after \d+ of 2000 videos/)
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ interrupted: true, errors: [] })
  expect(result.videos).toBeLessThan(2000)
})

test('a file that exists is not replaced without --force', { tags: 'slow' }, async () => {
  const path = file('there.safetensors', 'kept')
  const { code, stderr } = await train('-o', path)
  expect(code).toBe(1)
  expect(stderr).toMatch(/there.safetensors" exists already; give another name, or --force/)
  expect(readFileSync(path, 'utf8')).toBe('kept')
})
