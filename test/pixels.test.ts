import { describe, expect, test } from 'vitest'
import { type Frame, type FrameFormat, LAYOUTS } from '../src/video/frame.ts'
import { type PixelsShape, toPixels } from '../src/video/pixels/pixels.ts'
import { makeFrame, noise } from './clips.ts'

/** Weights of red and blue in luma. */
const LUMA: Readonly<Record<string, [kr: number, kb: number]>> = {
  bt601: [0.299, 0.114],
  bt709: [0.2126, 0.0722],
  bt2020: [0.2627, 0.0593],
}

/**
 * Converts a frame to RGB of this shape, before rounding. Straightforward: each pixel is a weighted
 * sum of all samples of each plane, weighted by distance.
 */
function reference(
  frame: Frame,
  { height, width, views = 1, view = 0 }: PixelsShape,
): Float64Array {
  const { planes: planeCount, shiftX, shiftY, depth, channels } = LAYOUTS[frame.format]
  const turned = frame.rotation % 180 !== 0
  const seen = turned ? { w: frame.height, h: frame.width } : { w: frame.width, h: frame.height }
  const grow = Math.max(width / seen.w, height / seen.h)
  const full = {
    w: Math.max(width, Math.round(seen.w * grow)),
    h: Math.max(height, Math.round(seen.h * grow)),
  }
  const left =
    views === 1
      ? Math.floor((full.w - width) / 2)
      : Math.floor(((full.w - width) * view) / (views - 1))
  const top =
    views === 1
      ? Math.floor((full.h - height) / 2)
      : Math.floor(((full.h - height) * view) / (views - 1))

  const weights = (
    count: number,
    at: number,
    radius: number,
    pitch: number,
    site: number,
  ): number[] => {
    const raw = Array.from({ length: count }, (_, j) =>
      Math.max(0, 1 - Math.abs(j * pitch + site - at) / radius),
    )
    const sum = raw.reduce((a, b) => a + b)
    return raw.map((value) => value / sum)
  }
  const sampleOf = (p: number, x: number, y: number, c: number): number => {
    const { data, stride } = frame.planes[p]!
    const at = y * stride + (x * channels + c) * (depth > 8 ? 2 : 1)
    return depth > 8 ? data[at]! + 256 * data[at + 1]! : data[at]!
  }
  const out = new Float64Array(height * width * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Centre of this pixel in the upright picture, from 0 to 1, and then in the stored picture.
      const u = (left + x + 0.5) / full.w
      const v = (top + y + 0.5) / full.h
      const [s, t] = { 0: [u, v], 90: [v, 1 - u], 180: [1 - u, 1 - v], 270: [1 - v, u] }[
        frame.rotation
      ] as [number, number]
      const scaleX = frame.width / (turned ? full.h : full.w)
      const scaleY = frame.height / (turned ? full.w : full.h)
      const value = (p: number, c: number): number => {
        const chroma = p > 0
        const pitchX = chroma && shiftX ? 2 : 1
        const pitchY = chroma && shiftY ? 2 : 1
        const siteX = pitchX === 2 && frame.siting === 'center' ? 1 : 0.5
        const siteY = pitchY === 2 && frame.siting !== 'topleft' ? 1 : 0.5
        const wx = weights(
          Math.ceil(frame.width / pitchX),
          s * frame.width,
          Math.max(scaleX, pitchX),
          pitchX,
          siteX,
        )
        const wy = weights(
          Math.ceil(frame.height / pitchY),
          t * frame.height,
          Math.max(scaleY, pitchY),
          pitchY,
          siteY,
        )
        let sum = 0
        wy.forEach((b, j) => wx.forEach((a, i) => (sum += a && b && a * b * sampleOf(p, i, j, c))))
        return sum
      }
      const max = 2 ** depth - 1
      const unit = 2 ** (depth - 8)
      const level = (sample: number): number =>
        frame.fullRange ? (sample * 255) / max : ((sample / unit - 16) * 255) / 219
      const rgb: number[] = []
      if (planeCount === 1)
        for (let c = 0; c < 3; c++) rgb.push(level(value(0, channels === 1 ? 0 : c)))
      else if (frame.matrix === 'rgb')
        rgb.push(level(value(2, 0)), level(value(0, 0)), level(value(1, 0)))
      else {
        const difference = (sample: number): number =>
          frame.fullRange
            ? ((sample - 128 * unit) * 255) / max
            : ((sample / unit - 128) * 255) / 224
        const [kr, kb] = LUMA[frame.matrix]!
        const luma = level(value(0, 0))
        const r = luma + 2 * (1 - kr) * difference(value(2, 0))
        const b = luma + 2 * (1 - kb) * difference(value(1, 0))
        rgb.push(r, (luma - kr * r - kb * b) / (1 - kr - kb), b)
      }
      rgb.forEach((value, c) => (out[(y * width + x) * 3 + c] = Math.min(255, Math.max(0, value))))
    }
  }
  return out
}

/**
 * Allows only differences of rounding: half a level, and a little for float32 between the two
 * passes.
 */
function expectClose(frame: Frame, shape: PixelsShape): void {
  const got = toPixels(frame, shape)
  const want = reference(frame, shape)
  expect(got.length).toBe(want.length)
  let worst = 0
  let at = 0
  got.forEach((value, i) => {
    const error = Math.abs(value - want[i]!)
    if (error > worst) [worst, at] = [error, i]
  })
  expect(worst, `at ${at}: ${got[at]} for ${want[at]}`).toBeLessThan(0.501)
}

const formats = Object.keys(LAYOUTS) as FrameFormat[]
const noisy = (
  format: FrameFormat,
  width: number,
  height: number,
  over: Partial<Frame> = {},
): Frame =>
  makeFrame(format, width, height, noise(2 ** LAYOUTS[format].depth), {
    ...(format.startsWith('rgb') && { matrix: 'rgb', fullRange: true }),
    ...over,
  })

describe('against float64 sums over all samples', () => {
  test.each(formats)('%s: shrunk, grown and as it is', (format) => {
    expectClose(noisy(format, 46, 34), { height: 16, width: 16 })
    expectClose(noisy(format, 21, 17, { matrix: format.startsWith('rgb') ? 'rgb' : 'bt709' }), {
      height: 24,
      width: 31,
    })
    expectClose(noisy(format, 20, 20), { height: 20, width: 20 })
    expectClose(noisy(format, 19, 13, { fullRange: true }), { height: 13, width: 19 })
  })
  test.each(['left', 'center', 'topleft'] as const)('chroma sited %s', (siting) => {
    for (const format of ['yuv420p', 'yuv422p', 'yuv420p10'] as const) {
      for (const size of [9, 16, 40])
        expectClose(noisy(format, 17, 16, { siting }), { height: size, width: size })
    }
  })
  test.each(['bt601', 'bt709', 'bt2020'] as const)('%s', (matrix) => {
    for (const fullRange of [false, true])
      expectClose(noisy('yuv420p', 30, 22, { matrix, fullRange }), { height: 12, width: 12 })
  })
  test('RGB-coded video keeps G, B, R', () =>
    expectClose(noisy('yuv444p', 24, 20, { matrix: 'rgb', fullRange: true }), {
      height: 12,
      width: 12,
    }))
  test.each([0, 90, 180, 270] as const)(
    'turned by %i degrees, three views, both ways round',
    (rotation) => {
      for (const view of [0, 1, 2]) {
        expectClose(noisy('yuv420p', 41, 18, { rotation }), {
          height: 10,
          width: 10,
          views: 3,
          view,
        })
        expectClose(noisy('yuv420p', 18, 41, { rotation }), {
          height: 12,
          width: 8,
          views: 3,
          view,
        })
      }
    },
  )
  test('a single pixel, a single column, a long strip', () => {
    expectClose(noisy('yuv420p', 1, 1), { height: 3, width: 3 })
    expectClose(noisy('yuv420p', 1, 30), { height: 4, width: 4 })
    expectClose(noisy('yuv420p', 300, 2), { height: 4, width: 4, views: 2, view: 1 })
    expectClose(noisy('rgba', 60, 40), { height: 1, width: 1 })
  })
})

describe('known colours', () => {
  // From the standards: 8-bit Y, Cb, Cr of pure primaries.
  const cases: [Frame['matrix'], boolean, Record<string, [number, number, number]>][] = [
    [
      'bt601',
      false,
      {
        red: [81, 90, 240],
        green: [145, 54, 34],
        blue: [41, 240, 110],
        white: [235, 128, 128],
        black: [16, 128, 128],
      },
    ],
    [
      'bt709',
      false,
      {
        red: [63, 102, 240],
        green: [173, 42, 26],
        blue: [32, 240, 118],
        white: [235, 128, 128],
        black: [16, 128, 128],
      },
    ],
    [
      'bt2020',
      false,
      {
        red: [74, 97, 240],
        green: [164, 47, 25],
        blue: [29, 240, 119],
        white: [235, 128, 128],
        black: [16, 128, 128],
      },
    ],
    [
      'bt601',
      true,
      {
        red: [76, 85, 255],
        green: [150, 44, 21],
        blue: [29, 255, 107],
        white: [255, 128, 128],
        black: [0, 128, 128],
      },
    ],
    [
      'bt709',
      true,
      {
        red: [54, 99, 255],
        green: [182, 30, 12],
        blue: [18, 255, 116],
        white: [255, 128, 128],
        black: [0, 128, 128],
      },
    ],
  ]
  const rgb: Record<string, number[]> = {
    red: [255, 0, 0],
    green: [0, 255, 0],
    blue: [0, 0, 255],
    white: [255, 255, 255],
    black: [0, 0, 0],
  }
  test.each(cases)('%s, full range %s', (matrix, fullRange, colours) => {
    for (const [name, yuv] of Object.entries(colours)) {
      for (const [format, unit] of [
        ['yuv420p', 1],
        ['yuv444p10', 4],
      ] as const) {
        if (fullRange && unit === 4) continue
        const frame = makeFrame(format, 8, 6, (p) => yuv[p]! * unit, { matrix, fullRange })
        const pixels = toPixels(frame, { height: 4, width: 4 })
        for (let c = 0; c < 3; c++)
          expect(
            Math.abs(pixels[c]! - rgb[name]![c]!),
            `${name} ${[...pixels.subarray(0, 3)]}`,
          ).toBeLessThanOrEqual(2)
        expect(new Set(pixels).size).toBeLessThanOrEqual(3)
      }
    }
  })
  test('what lies outside is clamped, not wrapped', () => {
    expect([
      ...toPixels(
        makeFrame('yuv420p', 2, 2, (p) => [255, 255, 255][p]!),
        { height: 1, width: 1 },
      ),
    ]).toEqual([255, 125, 255])
    expect([
      ...toPixels(
        makeFrame('yuv420p', 2, 2, () => 0),
        { height: 1, width: 1 },
      ),
    ]).toEqual([0, 136, 0])
  })
})

test('chroma sits where its siting says', () => {
  // Chroma increases by 32 per sample along x. Cr of grey pixels gives red = 128 + 1.402 (v - 128)
  // for full-range luma.
  const reds = (siting: Frame['siting']): number[] => {
    const frame = makeFrame(
      'yuv420p',
      8,
      2,
      (p, x) => (p === 0 ? 128 : p === 2 ? 80 + 32 * x : 128),
      { fullRange: true, siting },
    )
    return Array.from(toPixels(frame, { height: 2, width: 8 }).subarray(0, 24)).filter(
      (_, i) => i % 3 === 0,
    )
  }
  const red = (v: number): number => Math.round(128 + 1.402 * (v - 128))
  expect(reds('left')).toEqual([80, 96, 112, 128, 144, 160, 176, 176].map(red))
  expect(reds('center')).toEqual([80, 88, 104, 120, 136, 152, 168, 176].map(red))
})

test('turned frames show what they would if they were stored upright', () => {
  const upright = noisy('yuv444p', 31, 20)
  const { planes } = upright
  const at = (p: number, x: number, y: number): number => planes[p]!.data[y * 31 + x]!
  const lying = {
    90: makeFrame('yuv444p', 20, 31, (p, x, y) => at(p, 30 - y, x), { rotation: 90 }),
    180: makeFrame('yuv444p', 31, 20, (p, x, y) => at(p, 30 - x, 19 - y), { rotation: 180 }),
    270: makeFrame('yuv444p', 20, 31, (p, x, y) => at(p, y, 19 - x), { rotation: 270 }),
  }
  for (const view of [0, 2]) {
    const want = toPixels(upright, { height: 11, width: 11, views: 3, view })
    for (const frame of Object.values(lying)) {
      const got = toPixels(frame, { height: 11, width: 11, views: 3, view })
      got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(1))
    }
  }
})

test('padding between rows and planes at odd addresses change nothing', () => {
  for (const format of ['yuv420p', 'yuv420p10', 'rgb24'] as const) {
    const tight = noisy(format, 14, 10)
    const planes = tight.planes.map(({ data, stride }) => {
      const padded = new Uint8Array(1 + (stride + 6) * (data.length / stride)).fill(77)
      for (let y = 0; y * stride < data.length; y++)
        padded.set(data.subarray(y * stride, (y + 1) * stride), 1 + y * (stride + 6))
      return { data: padded.subarray(1), stride: stride + 6 }
    })
    expect(toPixels({ ...tight, planes }, { height: 8, width: 8 })).toEqual(
      toPixels(tight, { height: 8, width: 8 }),
    )
  }
})

test('the array to fill is filled and returned; later frames of other sizes do not disturb', () => {
  const a = noisy('yuv420p', 30, 20)
  const into = new Uint8Array(8 * 8 * 3)
  expect(toPixels(a, { height: 8, width: 8 }, into)).toBe(into)
  const before = into.slice()
  for (let size = 1; size < 40; size++) toPixels(noisy('yuv420p', size, 7), { height: 8, width: 8 })
  expect(toPixels(a, { height: 8, width: 8 })).toEqual(before)
})

test('wrong arguments', () => {
  const frame = noisy('yuv420p', 8, 8)
  const shape = { height: 4, width: 4 }
  expect(() => toPixels(frame, { height: 0, width: 4 })).toThrow(
    'height must be an integer from 1 to 16384, not 0',
  )
  expect(() => toPixels(frame, { ...shape, views: 3, view: 3 })).toThrow(
    'view must be an integer from 0 to 2, not 3',
  )
  expect(() => toPixels(frame, shape, new Uint8Array(9))).toThrow('into must have 48 bytes, not 9')
  expect(() => toPixels({ ...frame, planes: frame.planes.slice(0, 2) }, shape)).toThrow(
    'Plane 2 of a 8x8 yuv420p frame expected 4 rows of 4 bytes, got 0 bytes with a stride of 0',
  )
  expect(() => toPixels({ ...frame, height: 10 }, shape)).toThrow(
    'Plane 0 of a 8x10 yuv420p frame expected 10 rows of 8 bytes, got 64 bytes with a stride of 8',
  )
})

test('resampling: the bits of a stored hash, the same in every runtime', () => {
  const { format, ...rest } = noisy('yuv420p', 97, 61)
  const pixels = toPixels({ format, ...rest }, { height: 32, width: 32 })
  // FNV-1a.
  let hash = 0x811c9dc5
  for (const value of pixels) hash = Math.imul(hash ^ value, 0x01000193) >>> 0
  expect(hash.toString(16)).toBe('bec07d9')
})
