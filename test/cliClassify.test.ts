/** trecvit classify and features: results equal those of the library, as JSON, text and arrays. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TRecViT } from '../src/index.ts'
import { readAll } from './checkpointFiles.ts'
import {
  file,
  folder,
  rawFrames as frames,
  json,
  lines,
  outcome,
  run,
  start,
  tiny,
  tinyNpz,
  tour,
} from './commandLine.ts'

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

describe('classify', () => {
  test('the clip that ships with the package, as JSON', async () => {
    const { model, device, video, top, probs, logits, segments, frames, timing } = await json([
      'classify',
    ])
    expect(model).toMatchObject({ source: 'builtin', config: { numClasses: 10 }, warnings: [] })
    expect(device).toMatchObject({ backend: 'wasm' })
    expect(video).toMatchObject({ width: 320, height: 240, fps: 30, frames: 391 })
    expect(top.length).toBe(5)
    expect(top[0]).toMatchObject({ label: 'shake', index: 9 })
    expect(probs.length).toBe(10)
    expect(logits.length).toBe(10)
    expect(top[0].prob).toBe(probs[top[0].index])
    expect(frames.length).toBe(391)
    expect(frames[50]).toMatchObject({
      frame: 50,
      time: expect.closeTo(50 / 30, 6),
      label: 'pan right',
      index: 2,
    })
    expect(timing).toMatchObject({ frames: 391, fps: expect.any(Number) })
    // The segments summarise the frames.
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
    for (const { first, last, start, end, label } of segments) {
      expect(first).toBe(next)
      expect(start).toBe(frames[first].time)
      expect(end).toBeCloseTo((last + 1) / 30, 6)
      for (const { label: each, partial } of frames.slice(first, last + 1))
        if (!partial) expect(each).toBe(label)
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

  test('FORCE_COLOR colours, NO_COLOR does not', { tags: 'slow' }, async () => {
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

  test('sampling, labels and options reach the model', { tags: 'slow' }, async () => {
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
