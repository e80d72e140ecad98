/** trecvit convert: writes .safetensors files. */
import { TrecvitError } from '../base/error.ts'
import { quantize } from '../base/int8.ts'
import type { Sink } from '../checkpoint/values.ts'
import { type TensorSource, writeSafetensors } from '../checkpoint/writeSafetensors.ts'
import { int8Parameters } from '../model/weights.ts'
import { scalesOf } from '../program/program.ts'
import type { ConvertOptions } from './convert.ts'
import { describeCheckpoint } from './describe.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { note } from './terminal.ts'

/** Result of the conversion. */
interface Converted {
  readonly tensors: number
  readonly values: number
  readonly bytes: number
  /** Names of tensors in the file that are not part of the model. */
  readonly ignored: readonly string[]
  /** Size of the input file in bytes. */
  readonly before: number
}

/**
 * Writes a checkpoint as .safetensors.
 * @throws TrecvitError if the checkpoint cannot be read, is not a TRecViT model, or the output
 * cannot be written
 */
export async function writeConverted(
  from: string,
  to: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<Converted> {
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
            // The file has the scales of all tensors before the integers. Each tensor is read and
            // quantised twice, so that only one is in memory at a time.
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
