/** trecvit evaluate: accuracy of a model on labelled videos. */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { type Labelled, listLabelled } from './labelled.ts'
import { openModel } from './model.ts'
import { addModelOptions, integer, type ModelOptions, PAPER } from './options.ts'
import { showProgress } from './progress.ts'
import type { Evaluated } from './report/evaluation.ts'
import { action } from './run.ts'
import { checkLabels, namesOf, Tally } from './tally.ts'
import { note, print, table } from './terminal.ts'

interface EvaluateOptions extends ModelOptions {
  readonly stride?: number
  readonly clips?: number
  readonly views?: '1' | '3'
  readonly protocol?: 'paper'
  readonly html?: string
}

export function addEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .argument(
      '<data>',
      'a folder with a folder of videos for each class, or a file of lines with a path and a class',
    )
    .summary('measure the accuracy of a model on labelled videos')
    .description(
      'Classifies labelled videos. Reports top-1, top-5, and the confusions of each class.',
    )
    .option('--stride <n>', 'take every n-th frame', integer(1))
    .option(
      '--clips <n>',
      'clips of each video, spread evenly (default: one of all frames)',
      integer(1),
    )
    .addOption(new Option('--views <n>', 'mean over 1 or 3 crops of each clip').choices(['1', '3']))
    .addOption(
      new Option(
        '--protocol <name>',
        'paper: the defaults become --clips 4 --views 3 --stride 2, at 25 frames/s',
      ).choices(['paper']),
    )
    .option('--html <file>', 'draw the accuracy and the confusions of each class on a page')
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit evaluate clips/ --model mine.safetensors
  $ trecvit evaluate val.csv --model k400 --protocol paper --json
  $ trecvit evaluate clips/ --model mine.safetensors --html report.html`,
    )
    .action(
      action<EvaluateOptions, [string]>(([data], options, signal) =>
        evaluate(data, options, signal),
      ),
    )
}

async function evaluate(
  data: string,
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<void> {
  const videos = await listLabelled(data)
  await using model = await openModel(options, signal)
  const result = await evaluateAll(model, videos, options, signal)
  if (options.json) print(JSON.stringify(result))
  else show(result, namesOf(model).length)
  if (options.html !== undefined) {
    const { evaluationPage } = await import('./report/evaluation.ts')
    const { writePage } = await import('./report/page.ts')
    const page = evaluationPage(result, namesOf(model), { data, model: options.model })
    await writePage(options.html, page, { signal })
    if (!options.quiet) note(`Wrote ${options.html}`)
  }
}

async function evaluateAll(
  model: TRecViT,
  videos: readonly Labelled[],
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<Evaluated> {
  const names = namesOf(model)
  checkLabels(videos, names)
  const { stride, clips, views } = options
  const reading = {
    ...(options.protocol && PAPER),
    ...(stride !== undefined && { stride }),
    ...(clips !== undefined && { clips }),
    ...(views !== undefined && ({ views: views === '3' ? 3 : 1 } as const)),
  }
  const progress = await showProgress(options, 'Evaluating', 'videos', videos.length)
  const tally = new Tally(names)
  let done = 0
  try {
    for (const { source, label } of videos) {
      if (signal.aborted) break
      try {
        const { top } = await model.classify(source, { ...reading, topK: 5, signal })
        tally.add(label, top)
      } catch (error) {
        if (signal.aborted) break
        if (!(error instanceof TrecvitError)) throw error
        tally.fail(source, error.message)
      }
      progress.update(++done)
    }
  } finally {
    progress.stop()
  }
  const interrupted = done < videos.length
  const result = tally.result()
  if (interrupted)
    note(`interrupted: this is the accuracy after ${done} of ${videos.length} videos`)
  return { ...result, ...(interrupted && { interrupted }) }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/**
 * Returns the line with the accuracy.
 * @param classCount number of classes of the model
 */
export function accuracyLine({ videos, top1, top5 }: Evaluated, classCount: number): string {
  // Of at most five classes, the true one is always among the five most probable.
  const five = classCount > 5 ? `, top-5 ${percent(top5)}` : ''
  return `top-1 ${percent(top1)}${five} of ${videos} videos`
}

function show(result: Evaluated, classCount: number): void {
  const { classes, errors } = result
  for (const { video, error } of errors) note(`warning: ${video}: ${error}`)
  print(accuracyLine(result, classCount))
  print('')
  print(
    table([
      ['class', 'videos', 'top-1', 'confused with'],
      ...classes.map(({ label, videos: count, top1: own, answers }) => [
        ...[label, String(count), percent(own)],
        Object.entries(answers)
          .filter(([answer]) => answer !== label)
          .sort(([, one], [, other]) => other - one)
          .slice(0, 3)
          .map(([answer, times]) => `${answer} ${times}`)
          .join(', '),
      ]),
    ]),
  )
}
