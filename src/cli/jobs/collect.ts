/** trecvit jobs collect: writes the results, by name. */
import { TrecvitError } from '../../base/error.ts'
import { csvColumns, rowsOf } from '../classifyOutput.ts'
import type { Row } from '../csv.ts'
import { accuracyLine } from '../evaluate.ts'
import type { Evaluated } from '../report/evaluation.ts'
import { type RowOptions, Rows } from '../rows.ts'
import type { GlobalOptions } from '../run.ts'
import { Tally } from '../tally.ts'
import { note, print } from '../terminal.ts'
import { Archive } from './archive.ts'
import type { Classified } from './classifyJob.ts'
import type { Encoded } from './featuresJob.ts'
import { entriesOf, resultsOf } from './results.ts'
import type { Settings } from './settings.ts'
import type { ArchiveOptions, Entry } from './types.ts'

export interface CollectOptions
  extends ArchiveOptions,
    GlobalOptions,
    Omit<RowOptions, 'continue'> {
  readonly segments?: boolean
}

export async function collect(options: CollectOptions, signal: AbortSignal): Promise<void> {
  const archive = await Archive.open(options)
  try {
    const settings = await archive.needSettings()
    const isEvaluation = settings.task === 'evaluate'
    const isDefault = options.jsonl === undefined && options.csv === undefined
    const rows = await Rows.open(
      isDefault && !(isEvaluation && options.json) ? { jsonl: '-' } : options,
      columnsOf(settings, options),
      signal,
    )
    const failed = new Map((await archive.failed()).map(({ id, error }) => [id, error]))
    const entries = await entriesOf(archive)
    const tally = new Tally(settings.classes)
    let [missing, errors] = [0, 0]
    try {
      for await (const [entry, result] of resultsOf<Classified | Encoded>(archive, entries)) {
        if (signal.aborted) return
        const error = result?.error ?? failed.get(entry.id)
        if (error) tally.fail(entry.video, error)
        else if (result && 'top' in result && isEvaluation) tally.add(entry.class!, result.top)
        const found = result
          ? rowsFor(entry, result, settings, options)
          : error
            ? [{ ...headOf(entry, settings), error }]
            : []
        if (found.length) await rows.write(entry.video, found)
        if (!result && !error) missing++
        if (error) errors++
      }
    } finally {
      await rows.close()
    }
    if (isEvaluation) showAccuracy(tally.result(), settings.classes.length, options)
    report(entries.length, missing, errors)
  } finally {
    await archive.close()
  }
}

/** Prints the accuracy: as "trecvit evaluate --json", or one line beside the rows. */
function showAccuracy(result: Evaluated, classCount: number, { json, quiet }: GlobalOptions): void {
  if (json) print(JSON.stringify(result))
  else if (!quiet) note(accuracyLine(result, classCount))
}

/** @throws TrecvitError if a video has an error or no result */
function report(total: number, missing: number, errors: number): void {
  if (missing)
    throw new TrecvitError(
      `${missing} of ${total} videos have no result yet; "trecvit jobs status" shows the progress`,
    )
  if (errors) throw new TrecvitError(`${errors} of ${total} videos have errors, in their rows`)
}

function columnsOf({ task, independentSegments }: Settings, options: CollectOptions): string[] {
  if (task === 'features') return ['video', 'output', 'frames', 'error']
  const own = task === 'evaluate' ? ['class'] : independentSegments ? ['from', 'to'] : []
  const [video, ...rest] = csvColumns(options)
  return [video!, ...own, ...rest]
}

/** Returns the cells that come first in the rows of an entry. */
function headOf(
  { video, class: label, part }: Entry,
  { independentSegments }: Settings,
): Row & { readonly video: string } {
  return {
    video,
    ...(label !== undefined && { class: label }),
    ...(part && { from: part[0], to: part[1], independentSegments }),
  }
}

/** Returns the rows of a result, as "trecvit classify" and "trecvit features" write them. */
function rowsFor(
  entry: Entry,
  result: Classified | Encoded,
  settings: Settings,
  options: CollectOptions,
): Row[] {
  const head = headOf(entry, settings)
  const { error } = result
  if ('output' in result) {
    const { output, frames } = result
    return [{ ...head, output, frames, ...(error !== undefined && { error }) }]
  }
  const broken = error === undefined ? null : { message: error }
  // The duration of a file may be rounded up, so that its last part has no frames.
  if (entry.part && result.frames === 0 && !broken) return []
  const { top, frames: count, segments } = result
  return rowsOf(entry.video, { top, count, segments, broken }, options).map((row) => ({
    ...head,
    ...row,
  }))
}
