/** trecvit pretrain: trains an encoder on videos without labels. */
import { type Command, Option } from 'commander'
import { configOf, type Size, sizeNames } from '../model/config.ts'
import type { MaskedProgress } from '../train/index.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { note, print } from './terminal.ts'
import { importTraining } from './train.ts'
import { ClipStore } from './trainingClips.ts'
import { addTrainingOptions, readingOf, type TrainingOptions } from './trainingOptions.ts'
import { listVideos } from './videos.ts'

interface PretrainOptions extends TrainingOptions {
  readonly size: Size
}

export function addPretrain(program: Command): void {
  const command = program
    .command('pretrain')
    .argument('<video...>', 'files, folders or patterns')
    .summary('train an encoder on videos without labels')
    .description(
      'Trains a new encoder as a masked auto-encoder: nine tenths of each video are hidden, and ' +
        'predicted from the rest. "trecvit train --from" starts from the file. Ctrl-C ends it ' +
        'after the current step, and writes the file.',
    )
    .requiredOption('-o, --out <file>', 'file for the encoder, .safetensors')
    .addOption(new Option('--size <name>', 'size of the encoder').choices(sizeNames).default('Ti'))
  addTrainingOptions(command, {
    frames: '16',
    epochs: 100,
    stride: 2,
    lr: '3e-4',
    weightDecay: 0.05,
    seed: 'the parameters, of the masks, of the order of the videos and of their variants',
  })
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
  const { decoderFor, initialiseMasked, MaskedTrainer } = await importTraining()
  const { all } = await listVideos(sources)
  const { epochs, batch, seed, frames = 16, lr: peak = 3e-4, weightDecay, threads } = options
  const config = configOf(options.size, { framesPerClip: frames })
  const decoder = decoderFor(config)
  const reading = readingOf(config, options)
  const steps = epochs * Math.ceil(all.length / batch)
  await writeOutput(options.out, { replace: options.force === true, signal }, async (output) => {
    await using trainer = await MaskedTrainer.create(
      config,
      decoder,
      initialiseMasked(config, decoder, seed),
      {
        schedule: { peak, warmup: Math.ceil(steps / 12), steps },
        ...{ weightDecay, seed },
        ...(threads !== undefined && { threads }),
      },
    )
    const store = new ClipStore(reading)
    const clips = all.map(
      ({ source }) =>
        () =>
          store.read(source),
    )
    const progress = await showProgress(options, 'Training', 'steps', steps)
    let last: MaskedProgress | undefined
    try {
      for await (const step of trainer.fit(clips, {
        ...{ epochs, batch, seed },
        ...(reading.augment && { augment: reading.augment }),
      })) {
        last = step
        progress.update(step.step)
        if (options.json) print(JSON.stringify(step))
        if (signal.aborted) break
      }
    } finally {
      progress.stop()
    }
    await output.write(await trainer.encoder())
    if (!options.quiet && !options.json && last)
      note(
        `Trained an encoder on ${all.length} videos in ${last.step} steps, loss ` +
          `${last.loss.toFixed(3)}: ${options.out}`,
      )
  })
}
