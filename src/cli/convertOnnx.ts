/** trecvit convert: writes .onnx files. */
import { readFileSync } from 'node:fs'
import { manifest } from '../files.ts'
import type { FloatType, Port } from '../onnx/graph.ts'
import { writeModel } from '../onnx/model.ts'
import { collectWeights } from '../onnx/weights.ts'
import type { ConvertOptions } from './convert.ts'
import { describeCheckpoint } from './describe.ts'
import { writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { note } from './terminal.ts'

const MANUAL = {
  step:
    'TRecViT, frames of a stream. Input "pixels" is RGB of 0 to 1. Every other input is zero for ' +
    'the first run, and the output "next/" + its name of the run before for the others.',
  clip: 'TRecViT, frames of a clip. Input "pixels" is RGB of 0 to 1.',
} as const

/** Result of the conversion. */
interface Written {
  readonly graph: 'step' | 'clip'
  readonly frames: number
  readonly inputs: Readonly<Record<string, readonly number[]>>
  readonly outputs: Readonly<Record<string, readonly number[]>>
  readonly bytes: number
  /** Names of tensors in the file that are not part of the model. */
  readonly ignored: readonly string[]
}

/**
 * Writes a checkpoint as an ONNX graph with its weights.
 * @throws TrecvitError if the checkpoint cannot be read, is not a TRecViT model, or the output
 * cannot be written
 */
export async function writeOnnx(
  from: string,
  to: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<Written> {
  const described = await describeCheckpoint(from, options, signal)
  const { checkpoint, config, ignored, labels, warnings } = described
  if (!options.quiet) for (const warning of warnings) note(`warning: ${warning}`)
  const { graph: kind = 'step', force = false } = options
  const frames = options.frames ?? (kind === 'step' ? 1 : config.framesPerClip)
  const dtype = options.dtype as FloatType
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  const metadata = {
    config: JSON.stringify(config),
    ...(labels && { labels: JSON.stringify(labels) }),
  }
  const progress = await showProgress(options, 'Converting', 'MB', null)
  const onProgress = (done: number, total: number) => progress.update(done / 1e6, total / 1e6)
  try {
    let report: Written | undefined
    await writeOutput(to, { replace: force, signal }, async (output) => {
      const weights = await collectWeights(checkpoint, config, { dtype, onProgress, signal })
      const graph = writeModel(config, weights, { graph: kind, frames, dtype })
      const file = graph.encode(version, { text: MANUAL[kind], metadata })
      for (const part of file.chunks()) {
        signal.throwIfAborted()
        await output.write(part)
      }
      const [inputs, outputs] = [shapesOf(graph.inputs), shapesOf(graph.outputs)]
      report = { graph: kind, frames, inputs, outputs, bytes: file.length, ignored }
    })
    return report!
  } finally {
    progress.stop()
    await checkpoint.close()
  }
}

function shapesOf(ports: readonly Port[]): Record<string, readonly number[]> {
  return Object.fromEntries(ports.map(({ name, shape }) => [name, shape]))
}
