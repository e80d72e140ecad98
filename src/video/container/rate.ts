/**
 * Determines frame rate and duration of a track from the times of its packets.
 */
import { EncodedPacketSink, type InputVideoTrack } from 'mediabunny'
import type { Isobmff } from '../isobmff/file.ts'

/** Number of packets that are read. */
const PACKETS = 64
/** A gap longer than this multiple of the median is a jump of the clock. */
const JUMP = 10

/** Returns the frame rate of the first packets; null if their times do not determine it. */
export async function frameRate(video: InputVideoTrack): Promise<number | null> {
  const times: number[] = []
  for await (const { timestamp } of new EncodedPacketSink(video).packets(undefined, undefined, {
    metadataOnly: true,
  })) {
    times.push(timestamp)
    if (times.length === PACKETS) break
  }
  const mean = meanRate(times)
  if (mean === null) return null
  // mediabunny corrects times that are rounded to milliseconds.
  const metrics = await video.computeFrameRateMetrics({ targetPacketCount: PACKETS })
  const exact = metrics.frameRateIsConstant ? metrics.underlyingFrameRate : null
  return exact !== null && Math.abs(exact - mean) < 0.1 * mean ? exact : mean
}

/**
 * Returns the mean rate over the gaps between times, without jumps. Returns null if more than half
 * of the gaps are 0, or if there are none.
 */
function meanRate(times: readonly number[]): number | null {
  const gaps = gapsOf(times)
  const usual = gaps.filter((gap) => gap <= JUMP * median(gaps))
  return median(gaps) > 0 ? usual.length / usual.reduce((sum, gap) => sum + gap, 0) : null
}

/**
 * Returns the longest gap that is a jump of the clock and not a long picture; null if there is
 * none.
 */
function longestJump(times: ArrayLike<number>): number | null {
  const gaps = gapsOf(Array.from(times))
  const longest = gaps.reduce((most, gap) => Math.max(most, gap), 0)
  return longest > 100 * median(gaps) && median(gaps) > 0 ? longest : null
}

function gapsOf(times: readonly number[]): number[] {
  const sorted = Float64Array.from(times).sort()
  return Array.from(sorted.subarray(1), (time, i) => time - sorted[i]!)
}

function median(values: readonly number[]): number {
  return Float64Array.from(values).sort()[values.length >> 1] ?? 0
}

/** Returns the duration in seconds of what is shown. */
export function durationOf({ movie: { edits, duration } }: Isobmff): number | null {
  return edits?.duration ?? duration
}

/** Returns irregularities in the times of a track, as clauses. */
export function clockFaults({ movie, times }: Isobmff): string[] {
  const faults: string[] = []
  const rates = movie.edits?.rates ?? []
  if (rates.length > 0)
    faults.push(
      `has an edit list with media rate ${rates.join(', ')}, which is not supported: ` +
        'rate 1 is used',
    )
  const jump = longestJump(times)
  if (jump !== null)
    faults.push(`has a gap of ${(jump / movie.timescale).toFixed(0)} s between two frames`)
  return faults
}
