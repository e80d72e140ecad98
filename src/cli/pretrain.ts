/** trecvit pretrain: trains an encoder on videos without labels. */
import { type Command, Option } from 'commander'
import { configOf, type Size, sizeNames } from '../model/config.ts'
import type { MaskedProgress } from '../train/index.ts'
import { readClip } from './clipReader.ts'
import { integer, positive } from './options.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action, type GlobalOptions } from './run.ts'
import { note, print } from './terminal.ts'
import { importTraining } from './train.ts'
import { listVideos } from './videos.ts'

interface PretrainOptions extends GlobalOptions {
  readonly out: string
  readonly size: Size
  readonly epochs: number
  readonly batch: number
  readonly frames: number
  readonly stride: number
  readonly lr: number
  readonly weightDecay: number
  readonly seed: number
  readonly threads?: number
  readonly force?: boolean
}

export function addPretrain(program: Command): void {
  program
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
    .option('--epochs <n>', 'how often each video is used', integer(1), 100)
    .option('--batch <n>', 'videos in a batch', integer(1), 8)
    .option('--frames <n>', 'frames of each video, from its middle', integer(1), 16)
    .option('--stride <n>', 'take every n-th frame', integer(1), 2)
    .option('--lr <n>', 'largest learning rate', positive, 3e-4)
    .option('--weight-decay <n>', 'weight decay of the matrices', Number, 0.05)
    .option(
      '--seed <n>',
      'of the parameters, of the masks and of the order of the videos',
      integer(0, 2 ** 32 - 1),
      1,
    )
    .option(
      '--threads <n>',
      'threads, 1 to 64 (default: as many as there are, 8 at most)',
      integer(1, 64),
    )
    .option('-f, --force', 'replace the file if it exists')
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
  const { epochs, batch, seed, frames, stride, lr: peak, weightDecay, threads } = options
  const config = configOf(options.size, { framesPerClip: frames })
  const decoder = decoderFor(config)
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
    // Read again in each epoch: videos without labels are often more than fit into memory. They
    // are read without the signal, which ends the training only after a step.
    const clips = all.map(
      ({ source }) =>
        () =>
          readClip(source, config, { frames, stride }),
    )
    const progress = await showProgress(options, 'Training', 'steps', steps)
    let last: MaskedProgress | undefined
    try {
      for await (const step of trainer.fit(clips, { epochs, batch, seed })) {
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
