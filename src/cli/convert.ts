/**
 * trecvit convert: writes a checkpoint as .safetensors or .onnx, with the configuration in its
 * metadata.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { addConfigOptions, type ConfigOptions, integer } from './options.ts'
import { action } from './run.ts'
import { bytes, print } from './terminal.ts'
import { localSource } from './weights.ts'

/** Options of the command. */
export interface ConvertOptions extends ConfigOptions {
  readonly dtype: 'f32' | 'f16' | 'int8'
  readonly graph?: 'step' | 'clip'
  readonly frames?: number
  readonly force?: boolean
}

export function addConvert(program: Command): void {
  const command = program
    .command('convert')
    .argument('<in>', 'path or URL of an .npz or .safetensors checkpoint, or a name')
    .argument('<out>', 'the .safetensors or .onnx file to write')
    .summary('write a checkpoint as .safetensors or .onnx')
    .description(
      'Writes a model in the format that the name of the output ends in. .safetensors has the ' +
        'tensors under their official names, with labels, clip length and image size in its ' +
        'metadata, so that it loads without options. .onnx has the computation, too, for ' +
        'onnxruntime and others: docs/onnx.md describes its inputs and outputs.',
    )
    .addOption(
      new Option(
        '--dtype <format>',
        'number format; int8: the matrices of the layers as integers with a scale for each ' +
          'output, the rest float32; .onnx has f32 or f16',
      )
        .choices(['f32', 'f16', 'int8'])
        .default('f32'),
    )
    .addOption(
      new Option(
        '--graph <kind>',
        'of .onnx; step: frames of a stream, with its state as inputs and outputs; clip: frames ' +
          'of a clip (default: step)',
      ).choices(['step', 'clip']),
    )
    .option(
      '--frames <n>',
      'of .onnx; frames of one run (default: 1 of a stream, or the clip length)',
      integer(1, 4096),
    )
    .option('--force', 'replace an existing file')
  addConfigOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit convert trecvit_b.npz trecvit_b.safetensors --dtype f16
  $ trecvit convert trecvit_b.npz trecvit_b.int8.safetensors --dtype int8
  $ trecvit convert motion.npz motion.safetensors --labels labels.txt --frames-per-clip 16
  $ trecvit convert trecvit_b.npz trecvit_b.onnx --dtype f16
  $ trecvit convert trecvit_b.npz clip.onnx --graph clip --frames 32`,
    )
    .action(
      action<ConvertOptions>(([from, to], options, signal) => convert(from!, to!, options, signal)),
    )
}

async function convert(
  from: string,
  to: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<void> {
  checkOutput(to, options)
  const source = await localSource(from, options, signal, 'f32')
  let report: object
  let summary: string
  if (to.endsWith('.onnx')) {
    const { writeOnnx } = await import('./convertOnnx.ts')
    const written = await writeOnnx(source, to, options, signal)
    report = written
    summary = `${written.graph} with t = ${written.frames}, ${bytes(written.bytes)}`
  } else {
    const { writeConverted } = await import('./convertSafetensors.ts')
    const { before, ...written } = await writeConverted(source, to, options, signal)
    report = written
    summary = `${written.tensors} tensors, ${bytes(written.bytes)} (${bytes(before)} before)`
  }
  if (options.json) print(JSON.stringify({ from, to, dtype: options.dtype, ...report }))
  else if (!options.quiet) print(`${to}: ${summary}`)
}

/** @throws TrecvitError if the output name and the options do not match */
function checkOutput(to: string, { dtype, graph, frames }: ConvertOptions): void {
  const isOnnx = to.endsWith('.onnx')
  if (!isOnnx && !to.endsWith('.safetensors'))
    throw new TrecvitError(
      `The output expected a name that ends in .safetensors or .onnx, got "${to}"`,
    )
  if (!isOnnx && (graph !== undefined || frames !== undefined))
    throw new TrecvitError(
      `--graph and --frames expected an output that ends in .onnx, got "${to}"`,
    )
  if (isOnnx && dtype === 'int8')
    throw new TrecvitError(
      'An .onnx file expected --dtype f32 or f16, got int8; write f32, and quantise the file ' +
        'with onnxruntime.quantization',
    )
}
