/** trecvit pretrain: trains an encoder on videos without labels. */
import { type Command, Option } from 'commander'
import type { NdArray } from '../base/array.ts'
import { configOf, type Size, sizeNames } from '../model/config.ts'
import type { MaskedTrainer } from '../train/index.ts'
import { describeCheckpoint } from './describe.ts'
import { type ConfigOptions, heightByWidth, MODEL_HELP } from './options.ts'
import type { Reconstructed } from './report/pictures.ts'
import { action } from './run.ts'
import { note } from './terminal.ts'
import { importTraining } from './train.ts'
import { ClipStore, openCache } from './trainingClips.ts'
import {
  addTrainingOptions,
  optimizerOf,
  type Reading,
  readingOf,
  type TrainingOptions,
} from './trainingOptions.ts'
import { readState, runTraining } from './trainingRun.ts'
import { listVideos } from './videos.ts'
import { localSource } from './weights.ts'

interface PretrainOptions extends TrainingOptions, Omit<ConfigOptions, 'labels' | 'framesPerClip'> {
  readonly from?: string
  readonly size?: Size
}

/** Number of clips that --html draws. */
const DRAWN = 4
/** Default of the frames of a clip. */
const FRAMES = 16
/** Fields of the configuration of an encoder: without head and class token. */
const ENCODER = { numClasses: 0, repSize: 0, poolType: 'gap' } as const

export function addPretrain(program: Command): void {
  const command = program
    .command('pretrain')
    .argument('<video...>', 'files, folders or patterns')
    .summary('train an encoder on videos without labels')
    .description(
      'Trains an encoder as a masked auto-encoder: nine tenths of each video are hidden, and ' +
        'predicted from the rest. "trecvit train --from" starts from the file. Ctrl-C ends it ' +
        'after the current step and saves it; --resume continues.',
    )
    .requiredOption('-o, --out <file>', 'file for the encoder, .safetensors')
    .addOption(
      new Option('--size <name>', 'size of a new encoder (default: Ti)')
        .choices(sizeNames)
        .conflicts('from'),
    )
    .option('--from <model>', `the encoder to start from: ${MODEL_HELP} (default: a new one)`)
    .option(
      '--image-size <HxW>',
      'height and width of the frames (default: 224x224)',
      heightByWidth,
    )
    .option('-y, --yes', 'download weights that have a name without asking')
  addTrainingOptions(command, {
    frames: String(FRAMES),
    epochs: 100,
    stride: 2,
    lr: '3e-4',
    weightDecay: 0.05,
    drawn: 'loss, learning rate and reconstructions',
    seed: 'the parameters, of the masks, of the order of the videos and of their variants',
  })
  command
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit pretrain videos/ -o encoder.safetensors
  $ trecvit train clips/ --from encoder.safetensors -o mine.safetensors`,
    )
    .action(
      action<PretrainOptions, [string[]]>(([videos], options, signal) =>
        pretrain(videos, options, signal),
      ),
    )
}

async function pretrain(
  sources: readonly string[],
  options: PretrainOptions,
  signal: AbortSignal,
): Promise<void> {
  const training = await importTraining()
  const { all } = await listVideos(sources)
  const { epochs, batch, seed } = options
  const steps = epochs * Math.ceil(all.length / batch)
  const last = await runTraining(options, signal, async () => {
    const trainer = await openTrainer(training, steps, options, signal)
    const reading = readingOf(trainer.config, options)
    const store = new ClipStore(reading, await openCache(options))
    const clips = all.map(
      ({ source }) =>
        () =>
          store.read(source),
    )
    return {
      total: steps,
      steps: trainer.fit(clips, {
        ...{ epochs, batch, seed, skip: trainer.steps },
        ...(reading.augment && { augment: reading.augment }),
      }),
      save: () => trainer.save(),
      finish: () => trainer.encoder(),
      draw: async (drawn) => {
        const { trainingPage } = await import('./report/training.ts')
        const { PICTURE_STYLE, pictureSection } = await import('./report/pictures.ts')
        const pictures = []
        const every = Math.ceil(all.length / DRAWN)
        for (const { source, name } of all.filter((_, index) => index % every === 0))
          pictures.push({
            name,
            ...(await reconstruct(trainer, await store.read(source), reading)),
          })
        return trainingPage(drawn, {
          title: `Pre-training of ${options.out}`,
          facts: [options.resume ? 'resumed' : `from ${options.from ?? 'random parameters'}`],
          ...{ videos: all.length, total: steps },
          sections: [pictureSection(pictures)],
          style: PICTURE_STYLE,
        })
      },
      dispose: () => trainer.dispose(),
    }
  })
  if (!options.quiet && !options.json && last)
    note(
      `Trained an encoder on ${all.length} videos in ${last.step} steps, loss ` +
        `${last.loss.toFixed(3)}: ${options.out}`,
    )
}

/** Opens a trainer of a new encoder or of that of a model, or continues from a saved trainer. */
async function openTrainer(
  {
    decoderFor,
    initialiseMasked,
    loadParameters,
    MaskedTrainer,
  }: typeof import('../train/index.ts'),
  steps: number,
  options: PretrainOptions,
  signal: AbortSignal,
): Promise<MaskedTrainer> {
  const { seed, frames = FRAMES, lr: peak = 3e-4 } = options
  const settings = { ...optimizerOf(options, { peak, steps }), seed }
  if (options.resume) return MaskedTrainer.resume(await readState(options.out), settings)
  const { size = 'Ti' } = options
  if (options.from === undefined) {
    const { imageSize } = options
    const config = configOf(size, { framesPerClip: frames, ...(imageSize && { imageSize }) })
    const decoder = decoderFor(config)
    return MaskedTrainer.create(config, decoder, initialiseMasked(config, decoder, seed), settings)
  }
  const source = await localSource(options.from, options, signal)
  const { checkpoint, config: old } = await describeCheckpoint(source, options, signal)
  await checkpoint.close()
  const config = { ...old, ...ENCODER, framesPerClip: frames }
  const decoder = decoderFor(config)
  const start = new Map([
    ...initialiseMasked(config, decoder, seed),
    ...(await loadParameters(source, config, { signal })),
  ])
  return MaskedTrainer.create(config, decoder, start, settings)
}

/** Returns pictures of a clip; of an augmented one, the variant of a fixed seed. */
async function reconstruct(
  trainer: MaskedTrainer,
  clip: NdArray<Uint8Array>,
  { augment: options }: Reading,
): Promise<Omit<Reconstructed, 'name'>> {
  const { augment } = await importTraining()
  const { data, shape } = options ? augment(clip, { ...options, seed: 1 }) : clip
  const frames = { data, shape: [1, ...shape] }
  return { frames, ...(await trainer.reconstruct({ frames })) }
}
