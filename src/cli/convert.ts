/**
 * trecvit convert: a checkpoint as .safetensors, in float32, float16 or int8, with what the tensors
 * do not tell beside them.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { Sink } from '../checkpoint/values.ts'
import type { TensorSource } from '../checkpoint/writeSafetensors.ts'
import { addConfigOptions, type ConfigOptions } from './options.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { bytes, note, print } from './terminal.ts'
import { localSource } from './weights.ts'

/** How a checkpoint is converted. */
export interface ConvertOptions extends ConfigOptions {
  readonly dtype: 'f32' | 'f16' | 'int8'
  readonly force?: boolean
}

export function addConvert(program: Command): void {
  const command = program
    .command('convert')
    .argument('<in>', 'path or URL of an .npz or .safetensors checkpoint, or a name')
    .argument('<out>', 'the .safetensors file to write')
    .summary('write a checkpoint as .safetensors')
    .description(
      'Writes the tensors of a model under their official names as .safetensors, with labels, ' +
        'clip length and image size in its metadata, so that it loads without options.',
    )
    .addOption(
      new Option(
        '--dtype <format>',
        'number format; int8: the matrices of the layers as whole numbers with a scale for ' +
          'each output, the rest float32',
      )
        .choices(['f32', 'f16', 'int8'])
        .default('f32'),
    )
    .option('--force', 'replace the file if it is there')
  addConfigOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit convert trecvit_b.npz trecvit_b.safetensors --dtype f16
  $ trecvit convert trecvit_b.npz trecvit_b.int8.safetensors --dtype int8
  $ trecvit convert motion.npz motion.safetensors --labels labels.txt --frames-per-clip 16`,
    )
    .action(
      action<ConvertOptions>(([from, to], options, signal) => convert(from!, to!, options, signal)),
    )
}

/** What was written. */
interface Converted {
  readonly tensors: number
  readonly values: number
  readonly bytes: number
  /** Names in the file that are no part of the model. */
  readonly ignored: readonly string[]
  /** Bytes of the file that it was made of. */
  readonly before: number
}

async function convert(
  from: string,
  to: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<void> {
  if (!to.endsWith('.safetensors'))
    throw new TrecvitError(`The output expected a name that ends in .safetensors, got "${to}"`)
  const source = await localSource(from, options, signal, 'f32')
  const { before, ...converted } = await writeConverted(source, to, options, signal)
  if (options.json) print(JSON.stringify({ from, to, dtype: options.dtype, ...converted }))
  else if (!options.quiet)
    print(
      `${to}: ${converted.tensors} tensors, ${bytes(converted.bytes)} (${bytes(before)} before)`,
    )
}

/**
 * Writes a checkpoint as .safetensors.
 * @throws TrecvitError if it cannot be read, is no TRecViT, or cannot be written
 */
export async function writeConverted(
  from: string,
  to: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<Converted> {
  const { describeCheckpoint } = await import('./describe.ts')
  const { writeSafetensors } = await import('../checkpoint/writeSafetensors.ts')
  const { quantize } = await import('../base/int8.ts')
  const { scalesOf } = await import('../program/program.ts')
  const { int8Parameters } = await import('../model/weights.ts')
  const { checkpoint, config, ignored, labels, warnings } = await describeCheckpoint(
    from,
    options,
    signal,
  )
  try {
    if (!options.quiet) for (const warning of warnings) note(`warning: ${warning}`)
    const tensors = [...checkpoint.tensors.values()].filter(({ name }) => !ignored.includes(name))
    const broken = tensors.find(({ dtype }) => !/^b?f\d/.test(dtype))
    if (broken)
      throw new TrecvitError(
        `"${broken.name}" in ${checkpoint.name} expected floating-point values, ` +
          `got ${broken.dtype}`,
      )
    const whole = options.dtype === 'int8' ? int8Parameters(config) : new Map<string, never>()
    const total = tensors.reduce(
      (sum, { shape }) => sum + shape.reduce((size, side) => size * side, 1),
      0,
    )
    const progress = await showProgress(options, 'Converting', 'MB', total * 4e-6)
    let done = 0
    let written = 0
    try {
      await writeOutput(to, { replace: options.force === true, signal }, (output) =>
        writeSafetensors(
          tensors.flatMap(({ name, shape }): TensorSource[] => {
            const read = (sink: Sink) =>
              checkpoint.read(
                name,
                async (values, at) => {
                  await sink(values, at)
                  progress.update((done += values.length) * 4e-6)
                },
                signal,
              )
            const matrix = whole.get(name)
            if (!matrix)
              return [{ name, shape, dtype: options.dtype === 'f16' ? 'f16' : 'f32', values: read }]
            const { blocks, columns } = matrix
            const quantized = async (read: (sink: Sink) => Promise<void>) => {
              const values = new Float32Array(shape.reduce((size, side) => size * side, 1))
              await read((part, at) => values.set(part, at))
              return quantize(values, columns, blocks)
            }
            // The scales of all tensors come before the numbers of any, so that each is read twice
            // instead of all being held.
            return [
              {
                name: scalesOf(name),
                shape: [blocks * columns],
                dtype: 'f32',
                values: async (sink) =>
                  sink((await quantized((part) => checkpoint.read(name, part, signal))).scales, 0),
              },
              {
                name,
                shape,
                dtype: 'i8',
                values: async (sink) => sink(Float32Array.from((await quantized(read)).values), 0),
              },
            ]
          }),
          {
            config: JSON.stringify({
              framesPerClip: config.framesPerClip,
              imageSize: config.imageSize,
            }),
            ...(labels && { labels: JSON.stringify(labels) }),
          },
          (part) => {
            written += part.length
            return output.write(part)
          },
        ),
      )
    } finally {
      progress.stop()
    }
    return {
      tensors: tensors.length,
      values: total,
      bytes: written,
      ignored,
      before: checkpoint.size,
    }
  } finally {
    await checkpoint.close()
  }
}
