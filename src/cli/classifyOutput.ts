/** Text, JSON and rows of trecvit classify. */
import type { TrecvitError } from '../base/error.ts'
import type { TRecViT } from '../model/trecvit.ts'
import type { Result } from './classifyVideo.ts'
import type { Row } from './csv.ts'
import { deviceOf } from './model.ts'
import type { ModelOptions } from './options.ts'
import { bar, columns, labelOf, paint, percent, print, table } from './terminal.ts'
import { drawTimeline } from './timeline.ts'

/** Columns of the CSV. */
export function csvColumns({ segments }: { readonly segments?: boolean }): readonly string[] {
  return segments
    ? ['video', 'start', 'end', 'label', 'index', 'prob', 'error']
    : ['video', 'label', 'index', 'prob', 'frames', 'error']
}

/** Returns the rows of a video: one, or one per segment. Includes the reason of an early end. */
export function rowsOf(
  video: string,
  {
    top,
    count,
    segments,
    broken,
  }: Pick<Result, 'top' | 'count' | 'segments'> & {
    readonly broken: Pick<TrecvitError, 'message'> | null
  },
  options: { readonly segments?: boolean },
): Row[] {
  const error = broken ? { error: broken.message } : {}
  if (!options.segments) {
    const parts = segments.length ? { segments } : {}
    return [{ video, ...top[0], frames: count, top, ...parts, ...error }]
  }
  return segments.map(({ start, end, label, index, prob }) => ({
    video,
    start,
    end,
    label,
    index,
    prob,
    ...error,
  }))
}

/** Prints the result of a video as one line of JSON. */
export function printJson(
  model: TRecViT,
  options: ModelOptions,
  source: string,
  { info, top, probs, logits, count, moments, segments, seconds, broken }: Result,
  interrupted: boolean,
): void {
  print(
    JSON.stringify({
      model: {
        source: options.model,
        fingerprint: model.fingerprint,
        config: model.config,
        warnings: model.warnings,
      },
      device: model.device,
      video: { source, ...info },
      ...(interrupted && { interrupted }),
      ...(broken && { error: broken.message }),
      top,
      probs: [...probs],
      logits: [...logits],
      ...(moments.length && { segments, frames: moments }),
      timing: { frames: count, seconds, fps: count / seconds },
    }),
  )
}

/** Prints one line about one of several videos. */
export function printLine(source: string, { top }: Result): void {
  print(`${source}  ${percent(top[0]!.prob, 1)}  ${labelOf(top[0]!)}`)
}

/** Prints the full result of a single video. */
export function printText(
  model: TRecViT,
  options: ModelOptions,
  source: string,
  { info, top, count, segments, seconds }: Result,
): void {
  const facts = [
    `${info.width}×${info.height}`,
    info.fps === null ? '' : `${Number(info.fps.toFixed(2))} fps`,
    info.codec,
  ].filter((fact) => fact !== '')
  print(`${paint('bold', source)}  ${paint('dim', facts.join(', '))}`)
  print(
    paint(
      'dim',
      `model: ${options.model} on ${deviceOf(model)}; decoder: ${info.decoder}; ` +
        `${count} frames in ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)} frames/s`,
    ),
  )
  print('')
  const width = Math.max(
    8,
    Math.min(columns(), 120) - 16 - Math.max(...top.map((found) => labelOf(found).length)),
  )
  const rows = top.map((found) => [
    `  ${labelOf(found)}`,
    percent(found.prob, 1),
    paint('cyan', bar(found.prob, Math.min(width, 40))),
  ])
  print(
    table(rows)
      .split('\n')
      .map((line, row) => (row === 0 ? paint('bold', line) : line))
      .join('\n'),
  )
  if (segments.length) print(`\n${drawTimeline(segments)}`)
}
