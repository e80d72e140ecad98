/** Segments, events and WebVTT. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { vttOf } from '../src/cli/vtt.ts'
import { EventDetector, type EventOptions, type VideoEvent } from '../src/model/events.ts'
import type { FrameAnswer } from '../src/model/heads/classification.ts'
import { type Segment, Timeline } from '../src/model/timeline.ts'
import { TRecViT } from '../src/model/trecvit.ts'
import { readFrames } from '../src/video/index.ts'

const labels = ['still', 'left', 'right']

/** Returns a result with these probabilities. */
function answer(probs: readonly number[], partial = false): FrameAnswer {
  const index = probs.indexOf(Math.max(...probs))
  const top = [{ label: labels[index]!, index, prob: probs[index]! }]
  const data = { data: Float32Array.from(probs), shape: [1, probs.length] }
  const own = { logits: data, probs: data, top, tops: [top] }
  return { ...own, frame: 0, partial, overall: own }
}

describe('a timeline', () => {
  /** Returns segments of these classes at 10 frames/s. An upper-case class is partial. */
  function segments(classes: string, times?: readonly number[]): Segment[] {
    const timeline = new Timeline()
    Array.from(classes).forEach((letter, i) => {
      const index = 'slr'.indexOf(letter.toLowerCase())
      const probs = [0.1, 0.1, 0.1].map((value, c) => (c === index ? 0.5 + i / 100 : value))
      timeline.add(answer(probs, letter !== letter.toLowerCase()), times ? times[i] : i / 10)
    })
    return timeline.segments()
  }

  test('joins answers in a row with the same label', () => {
    expect(segments('ssllls')).toEqual([
      {
        start: 0,
        end: 0.2,
        first: 0,
        last: 1,
        label: 'still',
        index: 0,
        prob: expect.closeTo(0.505),
      },
      {
        start: 0.2,
        end: 0.5,
        first: 2,
        last: 4,
        label: 'left',
        index: 1,
        prob: expect.closeTo(0.53),
      },
      {
        start: 0.5,
        end: 0.6,
        first: 5,
        last: 5,
        label: 'still',
        index: 0,
        prob: expect.closeTo(0.55),
      },
    ])
  })

  test('gives frames before the window is full to the first full answer', () => {
    expect(segments('RLsl')).toEqual([
      {
        start: 0,
        end: 0.3,
        first: 0,
        last: 2,
        label: 'still',
        index: 0,
        prob: expect.closeTo(0.52),
      },
      {
        start: 0.3,
        end: expect.closeTo(0.4),
        first: 3,
        last: 3,
        label: 'left',
        index: 1,
        prob: expect.closeTo(0.53),
      },
    ])
  })

  test('of a video shorter than the window has only its last answer', () => {
    expect(segments('SLR')).toEqual([
      {
        start: 0,
        end: expect.closeTo(0.3),
        first: 0,
        last: 2,
        label: 'right',
        index: 2,
        prob: expect.closeTo(0.52),
      },
    ])
    expect(segments('')).toEqual([])
  })

  test('takes times as they are; frames without one are 1/25 s apart', () => {
    expect(segments('sl', [1, 4]).map(({ start, end }) => [start, end])).toEqual([
      [1, 4],
      [4, 7],
    ])
    expect(segments('s', [2])).toMatchObject([{ start: 2, end: 2.04 }])
    const timeline = new Timeline()
    for (let i = 0; i < 5; i++) timeline.add(answer([1, 0, 0]))
    expect(timeline.segments()).toMatchObject([{ start: 0, end: 0.2 }])
    expect(new Timeline().segments()).toEqual([])
  })

  test('is written as WebVTT', () => {
    const cues: Segment[] = [
      { start: 0, end: 1.3666, first: 0, last: 40, label: 'a <b> & c', index: 0, prob: 0.987 },
      { start: 3599.9996, end: 7325.25, first: 41, last: 50, label: null, index: 7, prob: 1 },
    ]
    expect(vttOf(cues)).toBe(
      'WEBVTT\n\n' +
        '00:00:00.000 --> 00:00:01.367\na &lt;b&gt; &amp; c 99 %\n\n' +
        '01:00:00.000 --> 02:02:05.250\nclass 7 100 %\n',
    )
  })
})

describe('events', () => {
  /** Returns the events of these probabilities of class "left" as "frame type". Null is partial. */
  function events(values: readonly (number | null)[], options: EventOptions): string[] {
    const detector = new EventDetector(labels, options)
    return values.flatMap((value, frame) =>
      detector
        .add(answer([0, value ?? 1, 0], value === null), frame, null)
        .map(({ type, label }: VideoEvent) => `${frame} ${type} ${label}`),
    )
  }

  test('enter at the threshold and leave below the other, after so many answers', () => {
    const options = { enter: 0.6, leave: 0.4, minFrames: 2 }
    expect(events([0.6, 0.6, 0.4, 0.4, 0.39, 0.39], options)).toEqual([
      '1 enter left',
      '5 leave left',
    ])
    // One frame in between resets the count.
    expect(events([0.7, 0.5, 0.7, 0.7, 0.3, 0.4, 0.3, 0.3], options)).toEqual([
      '3 enter left',
      '7 leave left',
    ])
    expect(events([0.5, 0.5, 0.5], options)).toEqual([])
    expect(events([0.7, 0.1, 0.7], { ...options, minFrames: 1 })).toEqual([
      '0 enter left',
      '1 leave left',
      '2 enter left',
    ])
  })

  test('pass over answers before the window is full', () => {
    expect(events([null, null, 0.9, 0.9], { minFrames: 2 })).toEqual(['3 enter left'])
    expect(events([0.9, null, 0.9], { minFrames: 2 })).toEqual(['2 enter left'])
  })

  test('of several classes: what leaves comes first; at the end all leave', () => {
    const detector = new EventDetector(labels, { enter: 0.4, leave: 0.3, minFrames: 1 })
    const add = (probs: readonly number[], frame: number) =>
      detector.add(answer(probs), frame, frame / 10).map(({ type, index }) => [type, index])
    expect(add([0.5, 0.5, 0], 0)).toEqual([
      ['enter', 0],
      ['enter', 1],
    ])
    expect(add([0.5, 0.1, 0.4], 1)).toEqual([
      ['leave', 1],
      ['enter', 2],
    ])
    const last = answer([0.5, 0.1, 0.4])
    expect(detector.end(last, 1, 0.1)).toEqual([
      { type: 'leave', label: 'still', index: 0, prob: 0.5, frame: 1, time: 0.1 },
      { type: 'leave', label: 'right', index: 2, prob: Math.fround(0.4), frame: 1, time: 0.1 },
    ])
    expect(detector.end(last, 1, 0.1)).toEqual([])
  })

  test.each<[EventOptions, string]>([
    [{ enter: 0 }, '"enter" expected a probability above 0, at most 1, got 0'],
    [{ enter: 1.5 }, '"enter" expected'],
    [{ enter: 0.5, leave: 0.6 }, '"leave" expected a probability above 0, at most 0.5, got 0.6'],
    [{ leave: NaN }, '"leave" expected'],
    [{ minFrames: 0 }, '"minFrames" expected'],
  ])('refuse %j', (options, message) => {
    expect(() => new EventDetector(labels, options)).toThrow(message)
  })
})

describe('of a real video', { tags: 'slow' }, () => {
  const tour = new URL('../models/tour.mp4', import.meta.url)
  let model: TRecViT

  beforeAll(async () => {
    model = await TRecViT.load('builtin', { device: 'wasm' })
  })
  afterAll(() => model.dispose())

  test('the segments are those of the answers of a stream', async () => {
    const frames = 60
    const segments = await model.timeline(tour, { frames })
    expect(segments.map(({ label }) => label)).toEqual(['static', 'pan right'])
    const timeline = new Timeline()
    await using stream = model.stream({ average: { frames: 8 } })
    for await (const frame of readFrames(tour, { frames }))
      timeline.add(await stream.push(frame), frame.time)
    expect(segments).toEqual(timeline.segments())
    const { first, last, start, end } = segments[1]!
    expect([first, last]).toEqual([segments[0]!.last + 1, frames - 1])
    expect([start, end]).toEqual([expect.closeTo(first / 30), expect.closeTo(2)])
    const [one] = await model.timeline(tour, { frames, window: frames + 1 })
    expect(one).toMatchObject({ first: 0, last: frames - 1 })
    expect(await model.timeline(tour, { start: 1.5, frames: 8 })).toMatchObject([
      { start: 1.5, label: 'pan right' },
    ])
  })

  test('wrong options and videos are refused, and an abort ends it', async () => {
    await expect(model.timeline([])).rejects.toThrow('The video has no frames')
    await expect(model.timeline(tour, { window: 0 })).rejects.toThrow('"average" expected')
    await expect(model.timeline(5 as never)).rejects.toThrow('A video expected a path')
    const stop = new AbortController()
    const reason = new Error('enough')
    const onProgress = (): void => stop.abort(reason)
    await expect(model.timeline(tour, { signal: stop.signal, onProgress })).rejects.toBe(reason)
  })

  test('the events tell what enters and what leaves', async () => {
    const options = { enter: 0.6, leave: 0.4, minFrames: 3, frames: 60 }
    const events: VideoEvent[] = []
    for await (const event of model.stream().events(tour, options)) events.push(event)
    expect(events.map(({ type, label }) => [type, label])).toEqual([
      ['enter', 'static'],
      ['leave', 'static'],
      ['enter', 'pan right'],
      ['leave', 'pan right'],
    ])
    const [first, leave, enter, last] = events
    expect(first).toMatchObject({ frame: 9, time: expect.closeTo(0.3) })
    expect(Math.abs(leave!.frame - enter!.frame)).toBeLessThan(4)
    expect(last).toMatchObject({ frame: 59, time: expect.closeTo(59 / 30) })
    const wrong = model.stream().events(tour, { enter: 2 })
    await expect(wrong.next()).rejects.toThrow('"enter" expected')
    const [height, width] = model.config.imageSize
    const pair = { data: new Uint8Array(2 * height * width * 3), shape: [2, height, width, 3] }
    const two = model.stream({ b: 2 }).events([pair])
    await expect(two.next()).rejects.toThrow('"events" expected a stream of one video, got b = 2')
  })
})
