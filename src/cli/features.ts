/**
 * trecvit features: writes the encoded tokens of every frame as NumPy files.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { tokensOf } from '../model/config.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { overlap } from '../stream/overlap.ts'
import type { VideoInfo } from '../video/video.ts'
import { NpyWriter, NpzWriter, pool } from './featureFiles.ts'
import { openInput } from './input.ts'
import { type ManyOptions, workOnMany } from './many.ts'
import { debugTimes, openModel } from './model.ts'
import {
  addManyOptions,
  addModelOptions,
  addVideoOptions,
  type ModelOptions,
  type VideoOptions,
} from './options.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { type RowOptions, Rows } from './rows.ts'
import { action } from './run.ts'
import { print } from './terminal.ts'
import { type Listed, listVideos, outputsFor, type Videos } from './videos.ts'

interface FeaturesOptions extends ModelOptions, VideoOptions, ManyOptions, RowOptions {
  readonly output: string
  readonly pool?: 'tok' | 'gap'
  readonly list?: string
}

/** Result of writing the features of a video. */
interface Written {
  readonly info: VideoInfo
  readonly shape: readonly number[]
  readonly broken: TrecvitError | null
}

export function addFeatures(program: Command): void {
  const command = program
    .command('features')
    .argument(
      '[videos...]',
      'paths, folders, patterns like "clips/*.mp4", URLs, or "-" for y4m or raw pictures on ' +
        'standard input',
    )
    .summary('write the encoded tokens of videos')
    .description(
      'Writes the encoded tokens after the last norm, float32 [frames, tokens, width], ' +
        'with the state carried from frame to frame.',
    )
    .requiredOption(
      '-o, --output <file>',
      'out.npy, or out.npz with the arrays "features" and "time" (seconds); with {name}, one ' +
        'file for each of several videos',
    )
    .addOption(
      new Option(
        '--pool <how>',
        'one vector a frame: the class token (tok), or the mean over the patches (gap)',
      ).choices(['tok', 'gap']),
    )
  addVideoOptions(addManyOptions(addModelOptions(command)))
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit features clip.mp4 -o clip.npy
  $ trecvit features clip.mp4 -o clip.npz --pool gap --fps 5 --model trecvit_mae.npz
  $ trecvit features clips/ -o 'features/{name}.npy' --csv features.csv --continue`,
    )
    .action(
      action<FeaturesOptions, [string[]]>(([videos], options, signal) =>
        features(videos, options, signal),
      ),
    )
}

async function features(
  sources: readonly string[],
  options: FeaturesOptions,
  signal: AbortSignal,
): Promise<void> {
  if (!/\.np[yz]$/.test(options.output))
    throw new TrecvitError(
      `"--output" expected a name that ends in .npy or .npz, got "${options.output}"`,
    )
  const videos = await listVideos(sources, options.list)
  const outputs = outputsFor('--output', options.output, videos)
  const model = await openModel(options, signal)
  const { config } = model
  if (options.pool === 'tok' && config.poolType !== 'tok')
    throw new TrecvitError(
      '"--pool tok" expected a model with a class token, this one has none; use "--pool gap"',
    )
  const rows = await Rows.open(options, ['video', 'output', 'frames', 'error'], signal)
  try {
    if (videos.single) await single(videos.all[0]!)
    else await many(videos)
  } finally {
    await rows.close()
  }
  await debugTimes(model, options)

  async function single(video: Listed): Promise<void> {
    const { broken } = await one(video, options)
    if (broken) throw broken
  }

  async function many({ all }: Videos): Promise<void> {
    const { existsSync } = await import('node:fs')
    await workOnMany(
      all,
      {
        what: 'Encoding',
        isDone: (video) =>
          options.continue === true &&
          existsSync(outputs.get(video)!) &&
          (rows.isEmpty || rows.has(video.source)),
        run: async (video) => (await one(video, { ...options, quiet: true })).broken,
        failed: (video, error) => rows.write(video.source, [{ video: video.source, error }]),
      },
      options,
      signal,
    )
  }

  /** Writes the features of a video and prints the result. */
  async function one(video: Listed, settings: VideoOptions): Promise<Written> {
    const output = outputs.get(video)!
    const written = await writeFeatures(model, video.source, output, options.pool, settings, signal)
    const { info, shape, broken } = written
    const error = broken ? { error: broken.message } : {}
    await rows.write(video.source, [{ video: video.source, output, frames: shape[0], ...error }])
    if (options.json) {
      print(
        JSON.stringify({
          output,
          dtype: 'float32',
          shape,
          model: options.model,
          config,
          video: { source: video.source, ...info },
          ...error,
        }),
      )
    } else if (!options.quiet && ![options.jsonl, options.csv].includes('-'))
      print(`${output}: float32 [${shape.join(', ')}]`)
    return written
  }
}

/** @throws the reason of the signal if it is aborted; then no file is written */
export async function writeFeatures(
  model: TRecViT,
  source: string,
  path: string,
  how: FeaturesOptions['pool'],
  options: VideoOptions,
  signal: AbortSignal,
): Promise<Written> {
  const { config } = model
  const video = await openInput(source, options, signal)
  const { toInput } = await import('../stream/input.ts')
  const { sessionsOf } = await import('../model/sessions.ts')
  const session = sessionsOf(model).open({ b: 1, recent: 'all', encoded: true })
  const progress = await showProgress(options, 'Encoding', 'frames', video.expected)
  try {
    const rowShape = how ? [config.width] : [tokensOf(config), config.width]
    const writer = path.endsWith('.npy') ? new NpyWriter(rowShape) : new NpzWriter(rowShape)
    let count = 0
    await writeOutput(path, { replace: true, signal }, async (output) => {
      await overlap(
        video.frames,
        (frame) => session.advance(toInput(frame, 1, config.imageSize), 1),
        async ({ outputs }, { time }) => {
          await writer.add(output, pool(outputs['encoded']!, how, config), time)
          progress.update(++count)
        },
      )
      signal.throwIfAborted()
      if (!count) throw new TrecvitError('The video has no frames')
      await writer.end(output)
    })
    return { info: video.info, shape: [count, ...rowShape], broken: video.broken() }
  } finally {
    progress.stop()
    await session.dispose()
    await video.close()
  }
}
