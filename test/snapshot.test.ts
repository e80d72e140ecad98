/** The format of snapshots: their size, and what a reader accepts. */
import { expect, test } from 'vitest'
import { TRecViT } from '../src/index.ts'
import { snapshotBytes } from '../src/stream/snapshot.ts'
import { noise, tinyNpz } from './commandLine.ts'
import version1 from './snapshots/version1.json' with { type: 'json' }

const frame = (index: number) => ({ data: noise(768, index), shape: [16, 16, 3] })

test.each(version1.streams)('version 1 over $average is resumed, with the same bits', async ({ snapshot, frame: first, logits }) => {
  const model = await TRecViT.load(tinyNpz(), { device: 'wasm', deterministic: true })
  expect(model.fingerprint).toBe(version1.model)
  await using stream = await model.resume(Buffer.from(snapshot, 'base64'))
  expect(stream.frame).toBe(first)
  for (const [index, values] of logits.entries()) expect([...(await stream.push(frame(first + index))).logits.data]).toEqual(values)
  await model.dispose()
})

test('a limit follows from the states, and is close to the size', async () => {
  const model = await TRecViT.load(tinyNpz(), { device: 'wasm' })
  for (const average of ['all', { frames: 4096 }, { halfLife: 1.2345678901234567e-300 }] as const) {
    await using stream = model.stream({ average })
    await stream.push(frame(1))
    const { length } = await stream.snapshot()
    const limit = snapshotBytes(model.session({ b: 1, recent: average, encoded: false }).states)
    expect(length).toBeLessThanOrEqual(limit)
    expect(length).toBeGreaterThan(limit / 1.01 - 2048)
  }
  await model.dispose()
})
