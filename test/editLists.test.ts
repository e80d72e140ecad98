import { describe, expect, test } from 'vitest'
import { openVideo } from '../src/video/index.ts'
import { withEdits } from './boxes.ts'
import { clip, read, timesOf } from './clipReads.ts'
import { hashesOf, media } from './clips.ts'

describe('edit lists', () => {
  // h264.mp4: ten frames of 1024 ticks from tick 2048 on.
  const cases: [
    name: string,
    edits: [number, number, number][],
    times: number[],
    info: { frames: number; duration: number },
  ][] = [
    ['an end', [[600, 2048, 1]], [0, 100, 200, 300, 400, 500], { frames: 6, duration: 0.6 }],
    ['a beginning', [[300, 2048 + 5 * 1024, 1]], [0, 100, 200], { frames: 3, duration: 0.3 }],
    [
      'a beginning between two frames',
      [[300, 2048 + 5 * 1024 - 512, 1]],
      [0, 100, 200],
      { frames: 3, duration: 0.3 },
    ],
    [
      'a gap in the media',
      [
        [200, 2048, 1],
        [300, 2048 + 6 * 1024, 1],
      ],
      [0, 100, 200, 300, 400],
      { frames: 5, duration: 0.5 },
    ],
    [
      'an empty edit before',
      [
        [500, -1, 1],
        [200, 2048, 1],
      ],
      [0, 100],
      { frames: 2, duration: 0.2 },
    ],
    [
      'an empty edit between',
      [
        [200, 2048, 1],
        [500, -1, 1],
        [200, 4096, 1],
      ],
      [0, 100, 700, 800],
      { frames: 4, duration: 0.9 },
    ],
    [
      'a part that is shown twice',
      [
        [300, 2048, 1],
        [200, 2048, 1],
      ],
      [0, 100, 200, 300, 400],
      { frames: 5, duration: 0.5 },
    ],
    [
      'parts in another order',
      [
        [200, 2048 + 4 * 1024, 1],
        [200, 2048, 1],
      ],
      [0, 100, 200, 300],
      { frames: 4, duration: 0.4 },
    ],
    ['no end', [[0, 2048 + 7 * 1024, 1]], [0, 100, 200], { frames: 3, duration: 1 }],
  ]
  test.each(cases)('%s', async (_, edits, times, info) => {
    const bytes = withEdits('h264.mp4', edits)
    const video = await openVideo(bytes)
    expect(video.info).toMatchObject(info)
    expect(video.warnings).toEqual([])
    await video.close()
    expect(await timesOf(bytes)).toEqual(times)
  })

  test('show the pictures that they name', async () => {
    const hashes = async (bytes: Buffer): Promise<string> =>
      (await hashesOf(await openVideo(bytes))).first
    const [third, gap] = [
      withEdits('h264.mp4', [[100, 2048 + 3 * 1024, 1]]),
      withEdits('h264.mp4', [
        [300, 2048 + 3 * 1024, 1],
        [100, 2048, 1],
      ]),
    ]
    expect(await hashes(third)).toBe(await hashes(gap))
    expect(await hashes(third)).not.toBe(await hashes(clip('h264.mp4')))
  })

  test('a media rate is refused as not supported', async () => {
    const { frames, warnings } = await read(withEdits('h264.mp4', [[500, 2048, 2]]))
    expect({ frames, warnings }).toEqual({
      frames: 5,
      warnings: [
        'The video in memory has an edit list with media rate 2, which is not supported: ' +
          'rate 1 is used',
      ],
    })
  })

  test('times of clips that were cut, that go back, and whose clocks are odd', {
    tags: 'slow',
  }, async () => {
    const even = (count: number): number[] => Array.from({ length: count }, (_, i) => 100 * i)
    for (const decoder of ['native', 'ffmpeg'] as const) {
      expect(await timesOf(media('h264-ss.mp4'), { decoder })).toEqual(even(24))
      expect(await timesOf(media('hevc-ss.mp4'), { decoder })).toEqual(even(24))
      expect(await timesOf(media('elst-slow.mp4'), { decoder })).toEqual(even(25))
    }
    expect((await openVideo(media('same-time.mp4'))).info.fps).toBeNull()
    const jump = await openVideo(media('jump.mp4'))
    expect(jump.info.fps).toBeCloseTo(10)
    expect(jump.warnings).toEqual([
      expect.stringMatching(/jump\.mp4" has a gap of 3600 s between two frames$/),
    ])
    await jump.close()
  })
})

test('an edit list that goes back more than a hundred times is refused', {
  tags: 'slow',
}, async () => {
  const back = (passes: number): Buffer => withEdits('h264.mp4', Array(passes).fill([100, 2048, 1]))
  expect((await read(back(101))).error).toBe(
    'The video in memory has an edit list that goes back 100 times: ' +
      'convert it with ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4',
  )
  expect(await read(back(100))).toMatchObject({ frames: 100, error: null })
})
