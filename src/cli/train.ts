/** trecvit train: trains a classifier on labelled videos. */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { Config } from '../model/config.ts'
import type { Sample, Trainer } from '../train/index.ts'
import { describeCheckpoint } from './describe.ts'
import { classesOf, type Labelled, listLabelled } from './labelled.ts'
import { addConfigOptions, type ConfigOptions, MODEL_HELP } from './options.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { note } from './terminal.ts'
import { ClipStore, encoderFingerprint, openCache } from './trainingClips.ts'
import {
  addTrainingOptions,
  optimizerOf,
  type Reading,
  readingOf,
  type TrainingOptions,
} from './trainingOptions.ts'
import { readState, runTraining } from './trainingRun.ts'
import { localSource } from './weights.ts'

interface TrainOptions extends TrainingOptions, ConfigOptions {
  readonly from: string
  readonly only?: 'head'
  readonly labelSmoothing: number
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
        'Ctrl-C ends the training after the current step and saves it; --resume continues.',
    )
    .requiredOption('-o, --out <file>', 'file for the trained model, .safetensors')
    .option('--from <model>', `the model to start from: ${MODEL_HELP}`, 'builtin')
    .addOption(new Option('--only <part>', 'train only this part').choices(['head']))
    .option('--label-smoothing <n>', 'share of each target spread over all classes', Number, 0.1)
  addTrainingOptions(command, {
    frames: "the model's clip",
    epochs: 30,
    stride: 1,
    lr: '1e-4, with --only head 3e-3',
    weightDecay: 0.03,
    drawn: 'loss, accuracy and learning rate',
    seed: 'new parameters, of the order of the videos and of their variants',
  })
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
  const training = await importTraining()
  const videos = await listLabelled(data)
  const labels = classesOf(videos)
  const { epochs, batch, seed } = options
  const steps = epochs * Math.ceil(videos.length / batch)
  const last = await runTraining(options, signal, async () => {
    const { trainer, config } = await openTrainer(training, labels, steps, options, signal)
    const reading = readingOf(config, options)
    const samples = await samplesOf(videos, labels, trainer, { ...options, reading }, signal)
    return {
      total: steps,
      steps: trainer.fit(samples, {
        ...{ epochs, batch, seed, skip: trainer.steps },
        ...(reading.augment && { augment: reading.augment }),
      }),
      save: () => trainer.save(labels),
      finish: async () => training.encodeCheckpoint(config, await trainer.parameters(), labels),
      draw: async (drawn) => {
        const { trainingPage } = await import('./report/training.ts')
        return trainingPage(drawn, {
          title: `Training of ${options.out}`,
          facts: [
            options.resume ? 'resumed' : `from ${options.from}`,
            options.only === 'head' ? 'the head alone' : 'all parameters',
            `${labels.length} classes`,
          ],
          ...{ videos: videos.length, total: steps },
        })
      },
      dispose: () => trainer.dispose(),
    }
  })
  if (!options.quiet && !options.json && last)
    note(
      `Trained ${labels.length} classes on ${videos.length} videos in ${last.step} steps, loss ` +
        `${last.loss.toFixed(3)}: ${options.out}`,
    )
}

/** Opens a trainer that starts from a model, or continues from a saved trainer. */
async function openTrainer(
  { initialise, loadParameters, Trainer }: typeof import('../train/index.ts'),
  labels: readonly string[],
  steps: number,
  options: TrainOptions,
  signal: AbortSignal,
): Promise<{ trainer: Trainer; config: Config }> {
  const headOnly = options.only === 'head'
  const isEncoder = (name: string) => !name.startsWith('decoder/')
  const peak = options.lr ?? (headOnly ? RATES.head : RATES.all)
  const settings = {
    ...optimizerOf(options, { peak, steps }),
    labelSmoothing: options.labelSmoothing,
    ...(headOnly && { trains: (name: string) => !isEncoder(name) }),
  }
  const { resume, out } = options
  const state = resume ? await readState(out) : undefined
  const source = resume ? out : await localSource(options.from, options, signal)
  const { config, keepsHead } = await startFrom(source, labels, options, signal)
  if (state && !keepsHead)
    throw new TrecvitError(
      `${quote(out)} has other classes than the videos; "--resume" expected the data that the ` +
        'training began with',
    )
  if (state) return { trainer: await Trainer.resume(state, settings), config }
  const start = new Map([
    ...initialise(config, options.seed),
    ...(await loadParameters(source, config, {
      only: keepsHead ? () => true : isEncoder,
      signal,
    })),
  ])
  return { trainer: await Trainer.create(config, start, settings), config }
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

/** Reads the clip of each video. If only the head is trained, returns its features instead. */
async function samplesOf(
  videos: readonly Labelled[],
  labels: readonly string[],
  trainer: Trainer,
  { reading, ...options }: TrainOptions & { readonly reading: Reading },
  signal: AbortSignal,
): Promise<Sample[]> {
  const usesFeatures = trainer.trainsHeadOnly && !reading.augment
  const clips = new ClipStore(reading, await openCache(options))
  const encoder = usesFeatures ? await encoderFingerprint(trainer) : ''
  const progress = await showProgress(options, 'Reading', 'videos', videos.length)
  const samples: Sample[] = []
  try {
    for (const { source, label: name } of videos) {
      signal.throwIfAborted()
      const label = labels.indexOf(name)
      if (usesFeatures) {
        samples.push({ clip: await clips.features(source, trainer, encoder), label })
      } else {
        if (clips.hasRoom) await clips.read(source)
        samples.push({ clip: () => clips.read(source), label })
      }
      progress.update(samples.length)
    }
  } finally {
    progress.stop()
  }
  return samples
}
