/**
 * trecvit stream: prints one line per frame, or per event, as soon as it is known.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { ClassStream } from '../model/classStream.ts'
import { windowOf } from '../model/config.ts'
import type { FrameAnswer } from '../model/heads/classification.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { type Average, averageFrames } from '../program/program.ts'
import { overlap } from '../stream/overlap.ts'
import type { SnapshotOptions } from '../stream/snapshot.ts'
import type { Frame } from '../video/frame.ts'
import { openInput } from './input.ts'
import { debugTimes, openModel } from './model.ts'
import {
  addModelOptions,
  addVideoOptions,
  integer,
  type ModelOptions,
  positive,
  type VideoOptions,
} from './options.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { type LineOptions, linesOf } from './streamLines.ts'
import { print } from './terminal.ts'

/** Number formats of a snapshot by name. */
const forms = {
  exact: {},
  f16: { dtype: 'f16' },
} as const satisfies Record<string, SnapshotOptions>

interface StreamOptions extends ModelOptions, VideoOptions, LineOptions {
  readonly topK: number
  readonly average?: Average
  readonly resetEvery?: number
  readonly snapshot?: string
  readonly snapshotForm?: keyof typeof forms
  readonly resume?: string
}

export function addStream(program: Command): void {
  const command = program
    .command('stream')
    .argument(
      '[video]',
      'path, URL, or "-" for y4m or raw pictures on standard input (default: ' +
        'the clip that ships with the package)',
    )
    .summary('follow a video, one line for every frame')
    .description(
      'Follows a video or an endless pipe. Prints one line a frame: time, label and ' +
        'probability, or "…" until the window is full. With --json, one JSON object a line, ' +
        'with "partial": true until the window is full.',
    )
  addVideoOptions(addModelOptions(command))
    .option('-k, --top-k <n>', 'classes in each line of JSON', integer(1), 5)
    .option(
      '--average <how>',
      'frames that an answer stands for: all, the last <n>, ' +
        'or half:<n> (weights halve every n frames) (default: half a clip of the model)',
      average,
    )
    .option(
      '--reset-every <n>',
      'reset the stream after every n frames, for models that drift in long videos',
      integer(1),
    )
    .option('--events', 'a line when a class enters the video or leaves it, instead of every frame')
    .option('--enter <p>', 'probability from which a class enters (default: 0.5)', positive)
    .option('--leave <p>', 'probability below which a class leaves (default: 0.3)', positive)
    .option('--min-frames <n>', 'answers in a row that decide on it (default: 4)', integer(1))
    .option(
      '--snapshot <file>',
      'write the state of the stream there at the end, at Ctrl-C, or where the video breaks off',
    )
    .addOption(
      new Option(
        '--snapshot-form <name>',
        'f16 is half as large as exact, and rounded to half-precision (default: exact)',
      ).choices(Object.keys(forms)),
    )
    .option('--resume <file>', 'continue from such a state')
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit stream traffic.mp4 --average 8 --reset-every 900
  $ trecvit stream traffic.mp4 --events --enter 0.6 --leave 0.4 --json
  $ ffmpeg -i rtsp://camera -f yuv4mpegpipe - | trecvit stream - --average half:15 --json
  $ ffmpeg -i in.mov -f rawvideo -pix_fmt rgb24 -s 320x240 - | trecvit stream - --raw 320x240
  $ trecvit stream monday.mp4 --snapshot week.state
  $ trecvit stream tuesday.mp4 --resume week.state`,
    )
    .action(action<StreamOptions>(([video], options, signal) => stream(video, options, signal)))
}

function average(text: string): Average {
  const match = /^(?:(all)|half:(\d+(?:\.\d+)?)|(\d+))$/.exec(text)
  if (!match) throw new InvalidArgumentError('Expected all, a number of frames, or half:<frames>.')
  return match[1] ? 'all' : match[2] ? { halfLife: Number(match[2]) } : { frames: Number(match[3]) }
}

async function stream(
  source: string | undefined,
  options: StreamOptions,
  signal: AbortSignal,
): Promise<void> {
  if (options.resume !== undefined && options.average !== undefined) {
    throw new TrecvitError(
      '"--average" cannot be given with "--resume": the stream continues with the average of its ' +
        'snapshot',
    )
  }
  const { snapshotForm = 'exact' } = options
  if (options.snapshotForm !== undefined && options.snapshot === undefined) {
    throw new TrecvitError('"--snapshot-form" expected "--snapshot <file>" beside it')
  }
  const model = await openModel(options, signal)
  const { average: given, resetEvery = Infinity, topK } = options
  const window = given === undefined ? windowOf(model.config) : averageFrames(given)
  if (options.resume === undefined && resetEvery < window) {
    throw new TrecvitError(
      `"--reset-every" expected at least the ${window} frames of "--average", got ${resetEvery}`,
    )
  }
  const lines = linesOf(model.labels, options)
  const answers =
    options.resume === undefined
      ? model.stream({ topK, ...(given !== undefined && { average: given }) })
      : await resume(model, options.resume, topK)
  const { sampleClip } = await import('../files.ts')
  const video = await openInput(source ?? sampleClip, options, signal)
  // No progress bar if the lines themselves are printed to the terminal.
  const progress = await showProgress(
    { quiet: options.quiet || process.stdout.isTTY },
    'Streaming',
    'frames',
    video.expected,
  )
  const first = answers.frame
  let sinceReset = first
  const push = async (frame: Frame): Promise<FrameAnswer> => {
    const reset = sinceReset >= resetEvery ? answers.reset() : undefined
    sinceReset = reset ? 1 : sinceReset + 1
    const [answer] = await Promise.all([answers.push(frame), reset])
    return answer
  }
  const answerAll = (): Promise<void> => {
    let done = 0
    const printAll = (all: readonly string[]) => all.forEach((line) => print(line))
    return overlap(video.frames, push, (answer, { time }) => {
      printAll(lines.add({ ...answer, frame: first + done }, time))
      progress.update(++done)
    }).finally(() => printAll(lines.end()))
  }
  try {
    if (options.snapshot === undefined) await answerAll()
    else {
      // Opened before the first frame, so that an error is reported before hours of work, not
      // after.
      await writeOutput(options.snapshot, { replace: true, signal }, async (output) => {
        await answerAll()
        await output.write(await answers.snapshot(forms[snapshotForm]))
      })
    }
    const broken = video.broken()
    if (broken) throw broken
  } finally {
    progress.stop()
    await video.close()
  }
  await debugTimes(model, options)
}

async function resume(model: TRecViT, path: string, topK: number): Promise<ClassStream> {
  const { readFile } = await import('node:fs/promises')
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new TrecvitError(
      `The snapshot at "${path}" cannot be read (${error.code ?? error.message})`,
      { cause: error },
    )
  })
  // Copies: the slice() of a Buffer would be a view.
  return model.resume(bytes, { topK })
}
