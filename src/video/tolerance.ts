/**
 * Handles damaged videos: by an error, the end of the frames, or a gap.
 */
import { TrecvitError } from '../base/error.ts'
import type { Frame } from './frame.ts'
import type { Reading } from './video.ts'

/** Accepted values of `onError`. */
export const ON_ERROR = ['error', 'stop', 'skip'] as const

/** How damage after the first frame is handled. */
export type OnError = (typeof ON_ERROR)[number]

/** Ends the frames at the first damage, with a warning. */
export function stopAtDamage(reading: Reading): Reading {
  const warnings = reading.warnings ?? []
  return goOn(reading, warnings, async () => null)
}

/** Skips pictures of a list that cannot be read, with a warning for each. */
export function skipPictures(reading: Reading): Reading {
  const warnings = reading.warnings ?? []
  const next = (): Promise<Frame | null> => reading.next().catch(skip)
  const skip = (error: unknown): Promise<Frame | null> => {
    warnings.push(sentence(error))
    return next()
  }
  return { info: reading.info, warnings, next, release: () => reading.release() }
}

/** Largest difference between timestamps of two readers, in seconds. */
const TOLERANCE = 2e-3

/**
 * Continues after the first damage with another reader, which skips damage.
 * @param reopen opens the video from its beginning with that reader
 */
export function skipDamage(reading: Reading, reopen: () => Promise<Reading>): Reading {
  const warnings = reading.warnings ?? []
  let last: Frame | null = null
  let second: Reading | null = null
  const proceed = async (): Promise<Frame | null> => {
    second ??= await reopen()
    for (let frame = await second.next(); frame !== null; frame = await second.next()) {
      if (last !== null && frame.time <= last.time + TOLERANCE) continue
      return likeBefore(frame, last)
    }
    warnings.push(...(second.warnings ?? []))
    return null
  }
  const first: Reading = {
    info: reading.info,
    async next() {
      const frame = await reading.next()
      last = frame ?? last
      return frame
    },
    async release() {
      await reading.release()
      await second?.release()
    },
  }
  return goOn(first, warnings, proceed)
}

/** Takes frames from `proceed` instead of the reading after the first error. */
function goOn(reading: Reading, warnings: string[], proceed: () => Promise<Frame | null>): Reading {
  let isBroken = false
  return {
    info: reading.info,
    warnings,
    async next() {
      if (isBroken) return proceed()
      try {
        return await reading.next()
      } catch (error) {
        warnings.push(sentence(error))
        isBroken = true
        return proceed()
      }
    },
    release: () => reading.release(),
  }
}

/** @throws the error itself if it is not a TrecvitError */
function sentence(error: unknown): string {
  if (!(error instanceof TrecvitError)) throw error
  return error.message
}

/** Uses colour and rotation of the first reader, which parses the container exactly. */
function likeBefore(frame: Frame, last: Frame | null): Frame {
  if (last === null || frame.format !== last.format) return frame
  const { matrix, fullRange, siting, rotation, isMirrored } = last
  return { ...frame, matrix, fullRange, siting, rotation, ...(isMirrored && { isMirrored }) }
}
