/**
 * trecvit classify: prints the classes and the timeline of videos.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { windowOf } from '../model/config.ts'
import { csvColumns, printJson, printLine, printText, rowsOf } from './classifyOutput.ts'
import {
  type ClassifyVideoOptions,
  classifyVideo,
  hasTimeline,
  type Result,
} from './classifyVideo.ts'
import { type ManyOptions, workOnMany } from './many.ts'
import { debugTimes, openModel } from './model.ts'
import {
  addManyOptions,
  addModelOptions,
  addVideoOptions,
  integer,
  type ModelOptions,
  PAPER,
} from './options.ts'
import { writeOutput } from './output.ts'
import { type RowOptions, Rows } from './rows.ts'
import { action } from './run.ts'
import { note, print } from './terminal.ts'
import { type Listed, listVideos, outputsFor, type Videos } from './videos.ts'
import { vttOf } from './vtt.ts'

interface CommandOptions
  extends ModelOptions,
    ManyOptions,
    RowOptions,
    Omit<ClassifyVideoOptions, 'window' | 'views'> {
  readonly window?: number
  readonly views?: '1' | '3'
  readonly protocol?: 'paper'
  readonly list?: string
  readonly vtt?: string
  readonly segments?: boolean
}

export function addClassify(program: Command): void {
  const command = program
    .command('classify')
    .argument(
      '[videos...]',
      'paths, folders, patterns like "clips/*.mp4", URLs, or "-" for y4m or raw pictures on ' +
        'standard input (default: the clip that ships with the package)',
    )
    .summary('name what videos show, and when')
    .description(
      'Classifies videos. Prints the most probable classes of the whole video, and a timeline. ' +
        'With several videos, prints one line or row for each.',
    )
  addVideoOptions(addManyOptions(addModelOptions(command)))
    .option('-k, --top-k <n>', 'classes to show', integer(1), 5)
    .option(
      '--window <n>',
      'frames that each answer of the timeline covers (default: half a clip of the model)',
      integer(1, 4096),
    )
    .option(
      '--vtt <file>',
      'write the timeline as WebVTT, for the <track> of a <video>; for several videos the ' +
        'name needs {name}',
    )
    .option('--segments', 'a row for each segment of the timeline in --csv and --jsonl')
    .option(
      '--clips <n>',
      "mean over so many clips of the model's length, spread over the video; no timeline",
      integer(1),
    )
    .addOption(
      new Option('--views <n>', 'mean over 1 or 3 crops of each clip; no timeline').choices([
        '1',
        '3',
      ]),
    )
    .addOption(
      new Option(
        '--protocol <name>',
        'paper: the defaults become --clips 4 --views 3 --stride 2 --fps 25',
      ).choices(['paper']),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit classify                                        # the built-in model on its clip
  $ trecvit classify holiday.mp4 --vtt holiday.vtt
  $ trecvit classify match.webm --model k400 --protocol paper
  $ trecvit classify clips/ --csv clips.csv --continue
  $ ffmpeg -i in.mov -f yuv4mpegpipe - | trecvit classify - --json`,
    )
    .action(
      action<CommandOptions, [string[]]>(([videos], options, signal) =>
        classify(videos, options.protocol ? { ...PAPER, views: '3', ...options } : options, signal),
      ),
    )
}

async function classify(
  sources: readonly string[],
  options: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  if (!hasTimeline(options) && (options.vtt !== undefined || options.segments)) {
    throw new TrecvitError(
      '"--vtt" and "--segments" expected a timeline, got "--clips", "--views" or "--protocol", ' +
        'which have none',
    )
  }
  if (options.continue && [options.jsonl, options.csv].every((path) => (path ?? '-') === '-'))
    throw new TrecvitError('"--continue" expected a file as "--jsonl" or "--csv"')
  const isDefault = sources.length === 0 && options.list === undefined
  const videos = await listVideos(isDefault ? ['models/tour.mp4'] : sources, options.list)
  const outputs = options.vtt === undefined ? null : outputsFor('--vtt', options.vtt, videos)
  const model = await openModel(options, signal)
  const rows = await Rows.open(options, csvColumns(options), signal)
  const { window = windowOf(model.config), views, ...rest } = options
  const settings = { ...rest, window, ...(views && ({ views: views === '3' ? 3 : 1 } as const)) }
  const { sampleClip } = await import('../files.ts')
  const classifyOne = (video: Listed, quiet?: boolean): Promise<Result | null> =>
    classifyVideo(
      model,
      isDefault ? sampleClip : video.source,
      quiet ? { ...settings, quiet } : settings,
      signal,
    )
  const write = async (video: Listed, result: Result): Promise<void> => {
    const path = outputs?.get(video)
    if (path === '-') print(vttOf(result.segments).trimEnd())
    else if (path !== undefined) await writeText(path, vttOf(result.segments), signal)
    await rows.write(video.source, rowsOf(video.source, result, options))
  }
  try {
    if (videos.single) await single(videos.all[0]!)
    else await many(videos)
  } finally {
    await rows.close()
  }
  await debugTimes(model, options)

  async function single(video: Listed): Promise<void> {
    const result = await classifyOne(video)
    if (!result) return
    const { broken, count } = result
    await write(video, result)
    const toOutput = [options.vtt, options.csv, options.jsonl].includes('-')
    const name = video.source === '-' ? 'standard input' : video.source
    if (options.json) printJson(model, options, name, result, signal.aborted)
    else if (!toOutput) printText(model, options, name, result)
    if ((signal.aborted || broken) && !options.quiet)
      note(`interrupted: this is the answer after ${count} frames`)
    if (broken) throw broken
  }

  async function many({ all }: Videos): Promise<void> {
    const toOutput = [options.csv, options.jsonl].includes('-')
    await workOnMany(
      all,
      {
        what: 'Classifying',
        isDone: (video) => options.continue === true && rows.has(video.source),
        async run(video) {
          const result = await classifyOne(video, true)
          if (!result || signal.aborted) return null
          await write(video, result)
          if (options.json) printJson(model, options, video.source, result, false)
          else if (!toOutput && !options.quiet) printLine(video.source, result)
          return result.broken
        },
        failed: (video, error) => rows.write(video.source, [{ video: video.source, error }]),
      },
      options,
      signal,
    )
  }
}

async function writeText(path: string, text: string, signal: AbortSignal): Promise<void> {
  await writeOutput(path, { replace: true, signal }, (output) =>
    output.write(new TextEncoder().encode(text)),
  )
}
