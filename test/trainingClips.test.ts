/** Clips and features that are kept on disk for the next training. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { DiskCache } from '../src/cli/diskCache.ts'
import { ClipStore, encoderFingerprint, openCache } from '../src/cli/trainingClips.ts'
import type { Reading } from '../src/cli/trainingOptions.ts'
import { configOf } from '../src/model/config.ts'
import type { Trainer } from '../src/train/index.ts'

const root = mkdtempSync(join(tmpdir(), 'trecvit-cache-'))
const cache = join(root, 'cache')
const folder = join(cache, 'training')
const warnings: string[] = []
const open = (bound: number) => new DiskCache(folder, bound, (warning) => warnings.push(warning))
const files = () => readdirSync(folder).sort()

beforeEach(() => {
  rmSync(cache, { recursive: true, force: true })
  warnings.length = 0
})
afterAll(() => rmSync(root, { recursive: true }))

const bytes = (count: number, value: number) => ({
  data: new Uint8Array(count).fill(value),
  shape: [count / 2, 2],
})

describe('arrays', () => {
  test('are kept with their shape and type', async () => {
    const features = { data: Float32Array.from([1.5, -2, NaN, 4, 5, 6]), shape: [3, 2] }
    await open(1e6).put('a', features)
    await open(1e6).put('b', bytes(10, 7))
    const own = open(1e6)
    expect(await own.get('a')).toEqual(features)
    expect(await own.get('b')).toEqual(bytes(10, 7))
    expect(await own.get('c')).toBeUndefined()
    expect(files()).toEqual(['a.array', 'b.array'])
    expect(warnings).toEqual([])
  })

  test('that were not used for the longest time are removed beyond the bound', async () => {
    const own = open(5000)
    const age = (name: string, seconds: number) =>
      utimesSync(join(folder, `${name}.array`), seconds, seconds)
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      await own.put(name, bytes(1000, index))
      age(name, 1000 + index)
    }
    // Using it makes it the newest.
    await own.get('a')
    await own.put('d', bytes(1000, 3))
    expect(files()).toEqual(['a.array', 'c.array', 'd.array'])
    await own.put('larger than the bound', bytes(5000, 0))
    expect(files()).toEqual(['a.array', 'c.array', 'd.array'])
  })

  test.each([
    ['a changed byte', (all: Buffer) => void (all[all.length - 1]! ^= 1)],
    ['a changed shape', (all: Buffer) => void all.write('[9', all.indexOf('['))],
    ['a damaged header', (all: Buffer) => void all.write('x', 0)],
  ])('that are damaged by %s are removed', async (_, damage) => {
    await open(1e6).put('a', bytes(10, 7))
    const path = join(folder, 'a.array')
    const all = readFileSync(path)
    damage(all)
    writeFileSync(path, all)
    expect(await open(1e6).get('a')).toBeUndefined()
    expect(files()).toEqual([])
    writeFileSync(path, all.subarray(0, 100))
    expect(await open(1e6).get('a')).toBeUndefined()
    expect(warnings).toEqual([])
  })

  test('are not kept where the folder cannot be written, with one warning', async () => {
    mkdirSync(cache)
    writeFileSync(folder, 'a file')
    const own = open(1e6)
    await own.put('a', bytes(10, 7))
    await own.put('b', bytes(10, 7))
    expect(await own.get('a')).toBeUndefined()
    expect(warnings).toEqual([
      `the cache in "${folder}" is not used (EEXIST); clips are read again`,
    ])
  })
})

describe('videos', () => {
  const video = join(root, 'video.y4m')
  const frame = (value: number) =>
    Buffer.concat([Buffer.from('FRAME\n'), Buffer.alloc(64, value), Buffer.alloc(32, 128)])
  const write = (value: number) =>
    writeFileSync(
      video,
      Buffer.concat([Buffer.from('YUV4MPEG2 W8 H8 F25:1 C420\n'), frame(value), frame(value)]),
    )
  const reading: Reading = { choice: { frames: 2, stride: 1 }, imageSize: [8, 8] }
  let computed = 0
  const trainer = (value: number, numClasses = 2) =>
    ({
      config: configOf('mu', { numClasses }),
      parameters: async () =>
        new Map([
          ['encoder', Float32Array.of(value)],
          ['decoder/head', Float32Array.of(numClasses)],
        ]),
      features: async () => {
        computed++
        return { data: Float32Array.of(value, value), shape: [1, 2, 1] }
      },
    }) as unknown as Trainer
  const store = async (more: Partial<Reading> = {}) => {
    vi.stubEnv('TRECVIT_CACHE', cache)
    return new ClipStore({ ...reading, ...more }, await openCache({ cacheSize: 1 }))
  }
  const features = async (own: Trainer, more: Partial<Reading> = {}) =>
    (await (await store(more)).features(video, own, await encoderFingerprint(own))).data[0]

  test('are encoded once for each content, encoder and choice of frames', {
    tags: 'slow',
  }, async () => {
    computed = 0
    write(50)
    expect(await features(trainer(1))).toBe(1)
    expect(await features(trainer(1))).toBe(1)
    expect(await features(trainer(1, 3))).toBe(1)
    expect(computed).toBe(1)
    expect(await features(trainer(2))).toBe(2)
    expect(computed).toBe(2)
    await features(trainer(1), { choice: { frames: 2, stride: 2 } })
    await features(trainer(1), { imageSize: [16, 16] })
    expect(computed).toBe(4)
    write(60)
    await features(trainer(1))
    expect(computed).toBe(5)
  })

  test('are decoded once', { tags: 'slow' }, async () => {
    write(50)
    const clip = await (await store()).read(video)
    expect(clip.shape).toEqual([2, 8, 8, 3])
    const [name] = files()
    const kept = readFileSync(join(folder, name!))
    expect(await (await store()).read(video)).toEqual(clip)
    // What is read is the entry, not the video.
    writeFileSync(join(folder, name!), kept.subarray(0, 100))
    expect(await (await store()).read(video)).toEqual(clip)
    expect(readFileSync(join(folder, name!))).toEqual(kept)
  })

  test('are not kept with a size of 0', async () => {
    expect(await openCache({ cacheSize: 0 })).toBeUndefined()
    write(50)
    const { shape } = await new ClipStore(reading, undefined).read(video)
    expect(shape).toEqual([2, 8, 8, 3])
  })
})
