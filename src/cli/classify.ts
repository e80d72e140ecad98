/**
 * trecvit classify: a video in, its class out, and what happened when.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { Class, FrameAnswer } from '../model/heads/classification.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { type InputVideo, openInput } from './input.ts'
import { debugTimes, deviceOf, openModel } from './model.ts'
import {
  addModelOptions,
  addVideoOptions,
  type ModelOptions,
  type VideoOptions,
  whole,
} from './options.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { bar, columns, labelOf, note, paint, percent, print, table } from './terminal.ts'
import { drawTimeline, type Moment, segmentsOf } from './timeline.ts'

interface ClassifyOptions extends ModelOptions, VideoOptions {
  readonly topK: number
  readonly window: number
  readonly clips?: number
  readonly views?: '1' | '3'
}

/** The answer about the whole video, and the answers on the way if there are any. */
interface Result {
  readonly top: readonly Class[]
  readonly probs: Float32Array
  readonly logits: Float32Array
  /** Frames that the model saw. */
  readonly count: number
  readonly moments: readonly Moment[]
}

export function addClassify(program: Command): void {
  const command = program
    .command('classify')
    .argument(
      '[video]',
      'path, URL, or "-" for y4m or raw pictures on standard input (default: ' +
        'the clip that ships with the package)',
    )
    .summary('say what a video shows, and when')
    .description(
      'Classifies a video: the most probable classes of all of it, ' +
        'and a timeline of the answers on the way.',
    )
  addVideoOptions(addModelOptions(command))
    .option('-k, --top-k <n>', 'classes to show', whole(1), 5)
    .option('--window <n>', 'frames that an answer of the timeline stands for', whole(1, 4096), 8)
    .option(
      '--clips <n>',
      "mean over so many clips of the model's length, spread over the video; no timeline",
      whole(1),
    )
    .addOption(
      new Option('--views <n>', 'mean over 1 or 3 crops of each clip; no timeline').choices([
        '1',
        '3',
      ]),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit classify                                        # the built-in model on its clip
  $ trecvit classify holiday.mp4
  $ trecvit classify match.webm --model trecvit_b.npz --clips 4 --views 3
  $ ffmpeg -i in.mov -f yuv4mpegpipe - | trecvit classify - --json`,
    )
    .action(action<ClassifyOptions>(([video], options, signal) => classify(video, options, signal)))
}

async function classify(
  source: string | undefined,
  options: ClassifyOptions,
  signal: AbortSignal,
): Promise<void> {
  const model = await openModel(options, signal)
  const { sampleClip } = await import('../files.ts')
  const video = await openInput(source ?? sampleClip, options, signal)
  try {
    const start = performance.now()
    const result =
      options.clips === undefined && options.views === undefined
        ? await followFrames(model, video, options)
        : await meanOfClips(model, video, options, signal)
    const seconds = (performance.now() - start) / 1000
    if (!result && signal.aborted) return
    if (!result) throw new TrecvitError('The video has no frames')
    const name = source === '-' ? 'standard input' : (source ?? 'models/tour.mp4')
    if (options.json) printJson(model, video, options, name, result, seconds, signal.aborted)
    else printText(model, video, options, name, result, seconds)
    const broken = video.broken()
    if ((signal.aborted || broken) && !options.quiet)
      note(`interrupted: this is the answer after ${result.count} frames`)
    if (broken) throw broken
    await debugTimes(model, options)
  } finally {
    await video.close()
  }
}

/** Every frame in order, with the state carried over. */
async function followFrames(
  model: TRecViT,
  video: InputVideo,
  options: ClassifyOptions,
): Promise<Result | undefined> {
  const stream = model.stream({ average: { frames: options.window }, topK: options.topK })
  const progress = await showProgress(options, 'Classifying', 'frames', video.expected)
  const moments: Moment[] = []
  let last: FrameAnswer | undefined
  try {
    for await (const frame of video.frames) {
      last = await stream.push(frame)
      moments.push({ frame: last.frame, time: frame.time, ...last.top[0]! })
      progress.update(moments.length)
    }
  } finally {
    progress.stop()
  }
  return (
    last && {
      top: last.overall.top,
      probs: last.overall.probs.data,
      logits: last.overall.logits.data,
      count: moments.length,
      moments,
    }
  )
}

async function meanOfClips(
  model: TRecViT,
  video: InputVideo,
  options: ClassifyOptions,
  signal: AbortSignal,
): Promise<Result> {
  const { topK, clips, views } = options
  const progress = await showProgress(options, 'Classifying', 'frames', null)
  try {
    const { top, probs, logits, frames } = await model.classify(video.frames, {
      topK,
      signal,
      ...(clips !== undefined && { clips }),
      ...(views !== undefined && { views: views === '3' ? 3 : 1 }),
      onProgress: (done, total) => progress.update(done, total),
    })
    return { top, probs: probs.data, logits: logits.data, count: frames, moments: [] }
  } finally {
    progress.stop()
  }
}

/** Seconds at which the last frame ends: as long after it as it came after the one before. */
function endOf(moments: readonly Moment[], fps: number | null): number {
  const [before, last] = moments.slice(-2)
  if (last) return last.time + (last.time - before!.time)
  return before ? before.time + 1 / (fps ?? 25) : 0
}

function printJson(
  model: TRecViT,
  { info, broken }: InputVideo,
  options: ClassifyOptions,
  source: string,
  result: Result,
  seconds: number,
  interrupted: boolean,
): void {
  const { top, probs, logits, count, moments } = result
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
      ...(broken() && { error: broken()!.message }),
      top,
      probs: [...probs],
      logits: [...logits],
      ...(moments.length && {
        segments: segmentsOf(moments, endOf(moments, info.fps)),
        frames: moments,
      }),
      timing: { frames: count, seconds, fps: count / seconds },
    }),
  )
}

function printText(
  model: TRecViT,
  { info }: InputVideo,
  options: ClassifyOptions,
  source: string,
  { top, count, moments }: Result,
  seconds: number,
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
  if (moments.length) print(`\n${drawTimeline(segmentsOf(moments, endOf(moments, info.fps)))}`)
}
