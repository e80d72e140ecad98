/** Runs a training to its end, to Ctrl-C or to an error, and writes its file. */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { type OutputOptions, writeOutput } from './output.ts'
import { writePage } from './report/page.ts'
import type { Step } from './report/training.ts'
import { note, print } from './terminal.ts'
import { readAll } from './through.ts'
import type { TrainingOptions } from './trainingOptions.ts'
import { TrainingProgress } from './trainingProgress.ts'

/** A training that can be saved after each step. */
export interface Work {
  readonly steps: AsyncIterable<Step>
  /** Number of all steps, with those before this run. */
  readonly total: number
  /** Returns the bytes that the training is continued from. */
  save(): Promise<Uint8Array>
  /** Returns the bytes of the trained model. */
  finish(): Promise<Uint8Array>
  /** Returns the page that --html writes. */
  draw(steps: readonly Step[]): Promise<string>
  /** Frees the memory of the training. */
  dispose(): Promise<void>
}

/** Milliseconds between two saves, so that a crash loses no more. */
const SAVE_INTERVAL = 10 * 60_000

/**
 * Writes the trained model. After Ctrl-C or an error, writes what --resume continues from instead.
 * @param start opens the training; called before the file is written
 * @param interval milliseconds between two saves
 * @returns the last step
 * @throws TrecvitError if the name does not end in .safetensors, or the file cannot be written
 * @throws any error of the steps
 */
export async function runTraining(
  options: TrainingOptions,
  signal: AbortSignal,
  start: () => Promise<Work>,
  interval: number = SAVE_INTERVAL,
): Promise<Step | undefined> {
  if (!options.out.endsWith('.safetensors'))
    throw new TrecvitError(
      `"--out" expected a name that ends in .safetensors, got ${quote(options.out)}; "trecvit ` +
        'convert" writes other formats from it',
    )
  const replacing: OutputOptions = { replace: true, signal }
  const replace = options.force === true || options.resume === true
  const steps: Step[] = []
  let last: Step | undefined
  let failure: unknown
  let work!: Work
  await writeOutput(options.out, { replace, signal }, async (output) => {
    work = await start()
    const progress = new TrainingProgress(options, work.total)
    let saved = performance.now()
    try {
      for await (const step of work.steps) {
        last = step
        if (options.html !== undefined) steps.push(step)
        progress.update(step)
        if (options.json) print(JSON.stringify(step))
        if (signal.aborted) break
        if (performance.now() - saved < interval || step.step === work.total) continue
        await writeOutput(options.out, replacing, async (own) => own.write(await work.save()))
        saved = performance.now()
      }
    } catch (error) {
      if (!last) throw error
      failure = error
    } finally {
      progress.stop()
    }
    const { step = work.total } = last ?? {}
    const isUnfinished = failure !== undefined || (signal.aborted && step < work.total)
    await output.write(await (isUnfinished ? work.save() : work.finish()))
    if (isUnfinished && !options.quiet)
      note(
        `${quote(options.out)} has the state after step ${step} of ${work.total}. ` +
          `Continue with: ${resumeCommand(process.argv.slice(2))}`,
      )
  })
  // The file is there by now, whatever prevents the page.
  if (options.html !== undefined) {
    await writePage(options.html, await work.draw(steps), { signal })
    if (!options.quiet) note(`Wrote ${options.html}`)
  }
  await work.dispose()
  if (failure !== undefined) throw failure
  return signal.aborted ? undefined : last
}

/**
 * Reads the file that --resume continues from.
 * @throws TrecvitError if it cannot be read
 */
export async function readState(path: string): Promise<Uint8Array> {
  const { open } = await import('node:fs/promises')
  try {
    const file = await open(path)
    try {
      return await readAll(file)
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new TrecvitError(
      `${quote(path)} cannot be read to resume from (${(cause as NodeJS.ErrnoException).code}); ` +
        '"--resume" continues from the file that Ctrl-C wrote',
      { cause },
    )
  }
}

/** Returns the command that continues a training, for a POSIX shell. */
export function resumeCommand(args: readonly string[]): string {
  const own = args.filter((arg) => !/^(-f|--force|--resume)$/.test(arg))
  const words = ['trecvit', ...own, '--resume'].map((word) =>
    /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  )
  return words.join(' ')
}
