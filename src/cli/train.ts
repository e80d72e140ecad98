/** trecvit train: trains a classifier on labelled videos. */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { Config } from '../model/config.ts'
import type { Sample, Trainer } from '../train/index.ts'
import { readClip } from './clipReader.ts'
import { describeCheckpoint } from './describe.ts'
import { classesOf, type Labelled, listLabelled } from './labelled.ts'
import { addConfigOptions, type ConfigOptions, integer, MODEL_HELP, positive } from './options.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action, type GlobalOptions } from './run.ts'
import { note, print } from './terminal.ts'
import { localSource } from './weights.ts'

interface TrainOptions extends GlobalOptions, ConfigOptions {
  readonly out: string
  readonly from: string
  readonly only?: 'head'
  readonly epochs: number
  readonly batch: number
  readonly frames?: number
  readonly stride: number
  readonly lr?: number
  readonly weightDecay: number
  readonly labelSmoothing: number
  readonly seed: number
  readonly threads?: number
  readonly force?: boolean
}

/** Default of the largest learning rate, for all parameters (published recipe) and for the head. */
const RATES = { all: 1e-4, head: 3e-3 }

export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .argument(
      '<data>',
      'a folder with a folder of videos for each class, or a file of lines with a path and a class',
    )
    .summary('train a classifier on your videos')
    .description(
      'Trains a classifier on labelled videos, starting from an existing model. --only head ' +
        'freezes the encoder: each video is encoded once, and an epoch takes milliseconds. ' +
        'Ctrl-C ends the training after the current step, and writes the file.',
    )
    .requiredOption('-o, --out <file>', 'file for the trained model, .safetensors')
    .option('--from <model>', `the model to start from: ${MODEL_HELP}`, 'builtin')
    .addOption(new Option('--only <part>', 'train only this part').choices(['head']))
    .option('--epochs <n>', 'passes over the videos', integer(1), 30)
    .option('--batch <n>', 'videos in a batch', integer(1), 8)
    .option(
      '--frames <n>',
      "frames of each video, from its middle (default: the model's clip)",
      integer(1),
    )
    .option('--stride <n>', 'take every n-th frame', integer(1), 1)
    .option('--lr <n>', 'largest learning rate (default: 1e-4, with --only head 3e-3)', positive)
    .option('--weight-decay <n>', 'weight decay of the matrices', Number, 0.03)
    .option('--label-smoothing <n>', 'share of each target spread over all classes', Number, 0.1)
    .option(
      '--seed <n>',
      'of new parameters and of the order of the videos',
      integer(0, 2 ** 32 - 1),
      1,
    )
    .option('--threads <n>', 'threads, 1 to 64 (default: one per core, at most 8)', integer(1, 64))
    .option('-f, --force', 'replace the file if it exists')
  addConfigOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit train clips/ --only head -o mine.safetensors
  $ trecvit train train.csv --from k400 --only head -o mine.safetensors
  $ trecvit classify new.mp4 --model mine.safetensors`,
    )
    .action(
      action<TrainOptions, [string]>(([data], options, signal) => train(data, options, signal)),
    )
}

async function train(data: string, options: TrainOptions, signal: AbortSignal): Promise<void> {
  const { encodeCheckpoint, initialise, loadParameters, Trainer } = await importTraining()
  const videos = await listLabelled(data)
  const labels = classesOf(videos)
  const source = await localSource(options.from, options, signal)
  const { config, keepsHead } = await startFrom(source, labels, options, signal)
  const { epochs, batch, seed } = options
  const steps = epochs * Math.ceil(videos.length / batch)
  const headOnly = options.only === 'head'
  const peak = options.lr ?? (headOnly ? RATES.head : RATES.all)
  const isEncoder = (name: string) => !name.startsWith('decoder/')
  await writeOutput(options.out, { replace: options.force === true, signal }, async (output) => {
    const start = new Map(
      [...initialise(config, seed)].concat([
        ...(await loadParameters(source, config, {
          only: keepsHead ? () => true : isEncoder,
          signal,
        })),
      ]),
    )
    await using trainer = await Trainer.create(config, start, {
      schedule: { peak, warmup: Math.ceil(steps / 12), steps },
      weightDecay: options.weightDecay,
      labelSmoothing: options.labelSmoothing,
      ...(options.threads !== undefined && { threads: options.threads }),
      ...(headOnly && { trains: (name: string) => !isEncoder(name) }),
    })
    const samples = await samplesOf(videos, labels, trainer, options, signal)
    const progress = await showProgress(options, 'Training', 'steps', steps)
    let last: { step: number; loss: number; accuracy: number } | undefined
    try {
      for await (const step of trainer.fit(samples, { epochs, batch, seed })) {
        last = step
        progress.update(step.step)
        if (options.json) print(JSON.stringify(step))
        if (signal.aborted) break
      }
    } finally {
      progress.stop()
    }
    await output.write(await encodeCheckpoint(config, await trainer.parameters(), labels))
    if (!options.quiet && !options.json && last)
      note(
        `Trained ${labels.length} classes on ${videos.length} videos in ${last.step} steps, loss ` +
          `${last.loss.toFixed(3)}: ${options.out}`,
      )
  })
}

/** @throws TrecvitError if the package was built for inference alone */
export function importTraining(): Promise<typeof import('../train/index.ts')> {
  return import('../train/index.ts').catch((cause) => {
    throw new TrecvitError('This build is for inference alone; "npm run build" adds training', {
      cause,
    })
  })
}

/**
 * Returns the configuration of the new model: that of the old model, with the new classes. The head
 * is kept if the classes are the same.
 */
async function startFrom(
  source: string,
  labels: readonly string[],
  options: ConfigOptions,
  signal: AbortSignal,
): Promise<{ config: Config; keepsHead: boolean }> {
  const {
    checkpoint,
    config,
    labels: oldLabels,
  } = await describeCheckpoint(source, options, signal)
  await checkpoint.close()
  return {
    config: { ...config, numClasses: labels.length, repSize: config.repSize || 4 * config.width },
    keepsHead: String(oldLabels) === String(labels),
  }
}

/** Bytes of clips in memory. Further clips are read again in each epoch. */
const MAX_HELD = 2 ** 30

/** Reads the clip of each video. If only the head is trained, returns its features instead. */
async function samplesOf(
  videos: readonly Labelled[],
  labels: readonly string[],
  trainer: Trainer,
  { frames = trainer.config.framesPerClip, stride, ...options }: TrainOptions,
  signal: AbortSignal,
): Promise<Sample[]> {
  const progress = await showProgress(options, 'Reading', 'videos', videos.length)
  const samples: Sample[] = []
  let held = 0
  try {
    for (const video of videos) {
      signal.throwIfAborted()
      const label = labels.indexOf(video.label)
      // Without the signal, which ends the training only after a step.
      const read = () => readClip(video.source, trainer.config, { frames, stride })
      if (held > MAX_HELD) samples.push({ clip: read, label })
      else {
        const { data, shape } = await read()
        if (trainer.trainsHeadOnly) {
          const features = await trainer.features({ data, shape: [1, ...shape] })
          samples.push({ clip: { data: features.data, shape: features.shape.slice(1) }, label })
          held += features.data.byteLength
        } else {
          samples.push({ clip: { data, shape }, label })
          held += data.byteLength
        }
      }
      progress.update(samples.length)
    }
  } finally {
    progress.stop()
  }
  return samples
}
