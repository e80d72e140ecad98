/** Lines of trecvit stream: one per frame, or one per event. */
import { TrecvitError } from '../base/error.ts'
import { EventDetector, type EventOptions, type VideoEvent } from '../model/events.ts'
import type { FrameAnswer } from '../model/heads/classification.ts'
import { labelOf, percent } from './terminal.ts'

/** Options for the lines. */
export interface LineOptions extends EventOptions {
  readonly json?: boolean
  readonly events?: boolean
}

/** Formats the answers of a stream. */
export interface Lines {
  /** Returns the lines for an answer. */
  add(answer: FrameAnswer, time: number): readonly string[]
  /** Returns the lines after the last answer. */
  end(): readonly string[]
}

/**
 * Chooses the lines that the options ask for.
 * @throws TrecvitError if a threshold is out of range, or given without --events
 */
export function linesOf(labels: readonly string[] | null, options: LineOptions): Lines {
  if (options.events) return eventLines(new EventDetector(labels, options), options)
  const { enter, leave, minFrames } = options
  if ((enter ?? leave ?? minFrames) !== undefined)
    throw new TrecvitError(
      '"--enter", "--leave" and "--min-frames" expected "--events" beside them',
    )
  const line = options.json ? jsonLine : textLine
  return { add: (answer, time) => [line(answer, time)], end: () => [] }
}

function eventLines(detector: EventDetector, { json }: LineOptions): Lines {
  const line = json ? (event: VideoEvent) => JSON.stringify(event) : eventLine
  let last: { readonly answer: FrameAnswer; readonly time: number } | undefined
  return {
    add(answer, time) {
      last = { answer, time }
      return detector.add(answer, answer.frame, time).map(line)
    },
    end: () => (last ? detector.end(last.answer, last.answer.frame, last.time).map(line) : []),
  }
}

function eventLine({ type, time, ...event }: VideoEvent): string {
  return `${time!.toFixed(2).padStart(8)} s  ${type}  ${percent(event.prob, 1)}  ${labelOf(event)}`
}

function textLine({ frame, partial, top }: FrameAnswer, time: number): string {
  const answer = partial ? '      …' : `${percent(top[0]!.prob, 1)}  ${labelOf(top[0]!)}`
  return `${String(frame).padStart(6)}  ${time.toFixed(2).padStart(8)} s  ${answer}`
}

function jsonLine({ frame, partial, top, probs }: FrameAnswer, time: number): string {
  return JSON.stringify({ frame, time, partial, ...top[0], top, probs: [...probs.data] })
}
