/**
 * Supports tracks with several sample descriptions. At each change, the new parameter sets are
 * inserted before the picture, as in avc3 and hev1.
 */
import type { EncodedPacket } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import type { Description } from '../isobmff/sampleEntry.ts'

/** A sample description, and mediabunny's sequence number of its first packet. */
export interface DescriptionRun {
  readonly from: number
  /** Index of the description, starting at 1. */
  readonly description: number
}

/**
 * @returns a function to call for all packets in order
 * @throws TrecvitError, from that function, if a description changes the codec
 */
export function switchDescriptions(
  kind: string,
  all: readonly Description[],
  runs: readonly DescriptionRun[],
): (packet: EncodedPacket) => EncodedPacket {
  const usual = all[(runs[0]?.description ?? 1) - 1]
  let current = usual
  return (packet) => {
    const run = runs.findLast(({ from }) => from <= packet.sequenceNumber) ?? runs[0]
    const wanted = all[(run?.description ?? 1) - 1]
    if (wanted === undefined || wanted === current) return packet
    if (wanted.kind !== usual?.kind) {
      const at = packet.timestamp.toFixed(3)
      throw new TrecvitError(
        `The codec changes from ${usual?.kind} to ${wanted.kind} after ${at} s: ` +
          'split the video there',
      )
    }
    current = wanted
    if (wanted.record === null || usual.record === null) return packet
    return packet.clone({
      data: joined([
        ...parameterSets(kind, wanted.record, lengthSize(kind, usual.record)),
        packet.data,
      ]),
    })
  }
}

/** Returns the number of bytes of a NAL unit's length. */
function lengthSize(kind: string, record: Uint8Array): number {
  return ((record[kind === 'avc' ? 4 : 21] ?? 3) & 3) + 1
}

/**
 * Returns the NAL units in avcC (ISO 14496-15 5.3.3.1) or hvcC (8.3.3.1), each after its length.
 */
function parameterSets(kind: string, record: Uint8Array, length: number): Uint8Array[] {
  const units: Uint8Array[] = []
  let at = kind === 'avc' ? 5 : 22
  const read = (count: number): void => {
    for (let i = 0; i < count && at + 2 <= record.length; i++) {
      const size = record[at]! * 256 + record[at + 1]!
      const unit = new Uint8Array(length + size)
      for (let byte = 0; byte < Math.min(4, length); byte++)
        unit[length - 1 - byte] = size >>> (8 * byte)
      unit.set(record.subarray(at + 2, at + 2 + size), length)
      units.push(unit)
      at += 2 + size
    }
  }
  if (kind === 'avc') {
    read(record[at++]! & 31)
    read(record[at++] ?? 0)
    return units
  }
  for (let arrays = record[at++] ?? 0; arrays > 0; arrays--) {
    const count = (record[at + 1] ?? 0) * 256 + (record[at + 2] ?? 0)
    at += 3
    read(count)
  }
  return units
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
