/** Snapshots of streams in all formats. */
import { crc32 } from '../../../src/base/crc32.ts'
import type { SnapshotOptions } from '../../../src/index.ts'
import type { Format } from '../format.ts'
import { frameOf, model } from '../model.ts'
import { bytes, type Group, group, json, latin, number } from '../parts.ts'

async function seed(form: SnapshotOptions): Promise<Uint8Array> {
  const stream = (await model()).stream()
  await stream.push(frameOf(1))
  const snapshot = await stream.snapshot(form)
  await stream.dispose()
  return snapshot
}

const files = await Promise.all([seed({}), seed({ dtype: 'f16' })])

function parse(file: Uint8Array): Group {
  const data = Buffer.from(file)
  const size = data.readUInt32LE(8)
  const header = json(JSON.parse(data.toString('utf8', 12, 12 + size)))
  const values = new Uint8Array(data.subarray(12 + size, -4))
  const half = values.length >> 1
  const states = group('states', [bytes(values.slice(0, half)), bytes(values.slice(half))])
  const before = group('signed', [
    latin('TRVS'),
    number(4, 'little', data.readUInt32LE(4)),
    number(4, 'little', (places) => places.size(header)),
    header,
    states,
  ])
  return group('file', [before, number(4, 'little', (places) => crc32(places.bytes(before)), true)])
}

export const snapshot: Format = {
  name: 'snapshot',
  seeds: files.map((file) => () => parse(file)),
  async open({ data }) {
    const stream = await (await model()).resume(data)
    try {
      await stream.push(frameOf(2))
      await stream.snapshot()
    } finally {
      await stream.dispose()
    }
  },
}
