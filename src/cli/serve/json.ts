/**
 * Parses and checks JSON from clients.
 */

import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'

/** A JSON object with unknown members. */
export type Json = Record<string, unknown>

/**
 * Parses JSON.
 * @param what the subject of the error message
 * @throws TrecvitError if the bytes are not JSON
 */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new TrecvitError(
      `${what} expected JSON, got ${bytes.length} bytes of something else ` +
        `(${quote((error as Error).message)})`,
    )
  }
}

/**
 * @throws TrecvitError if the value is not a JSON object
 */
export function recordOf(value: unknown, what: string): Json {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new TrecvitError(`${what} expected a JSON object, got ${shown(value)}`)
  return value as Json
}

/** Whether a value is an integer in a range. */
export function isInteger(
  value: unknown,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}

/** Formats any value for an error message, truncated. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (value === undefined) return 'none'
  if (Array.isArray(value)) return `a list of ${value.length}`
  return value !== null && typeof value === 'object' ? 'an object' : String(value)
}
