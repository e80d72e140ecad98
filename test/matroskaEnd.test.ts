/** A Matroska segment whose last element exceeds the segment, with more data after it. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openVideo } from '../src/video/index.ts'
import { media } from './clips.ts'

const whole = readFileSync(media('odd.webm'))
// Without cues: they would be merged with the following padding.
const webm = whole.subarray(0, whole.lastIndexOf(Buffer.from('1c53bb6b', 'hex')))
const sizeAt = webm.indexOf(Buffer.from('18538067', 'hex')) + 4
const bodyAt = sizeAt + 8

/** Puts `length` bytes of `element` at the end of the segment, and the rest after it. */
function clipEndingWith(element: Buffer, length: number): Buffer {
  const file = Buffer.concat([webm, element, Buffer.alloc(200)])
  file.writeBigUInt64BE(BigInt(webm.length - bodyAt + length) | (1n << 56n), sizeAt)
  return file
}

async function framesOf(file: Buffer): Promise<number> {
  let frames = 0
  for await (const _ of await openVideo(file)) frames++
  return frames
}

/** Frames of the clip as it is. */
const frames = framesOf(whole)

// mediabunny 1.61 loops forever in the last 8 bytes of a segment if no header fits.
describe.each([
  ['an unknown element', 'ccda'],
  ['padding', 'ecda'],
  ['tags', '1254c367da'],
  ['tags with a long size', '1254c367010000000000005a'],
  ['a cluster with a long size', '1f43b675010000000000005a'],
])('%s', (_, hex) => {
  test.each(Array.from({ length: 16 }, (_, index) => index + 1))(
    'of which %i bytes are in the segment',
    async (length) => {
      const element = Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(90)])
      expect(await framesOf(clipEndingWith(element, length))).toBe(await frames)
    },
  )
})

// mediabunny ends a cluster at an apparent segment header and searches for the next cluster.
test('a segment within a cluster is damage', async () => {
  const block = whole.indexOf(0xa3, whole.indexOf(Buffer.from('1f43b675', 'hex')) + 8)
  const file = Buffer.from(whole)
  file.write('18538067', block, 'hex')
  file.write('100000', block + 4, 'hex')
  await expect(framesOf(file)).rejects.toThrow(/is damaged at byte/)
})
