/** Parameters from checkpoints and to them. */
import { TrecvitError } from '../base/error.ts'
import { CHUNK, type Sink } from '../checkpoint/values.ts'
import { writeSafetensors } from '../checkpoint/writeSafetensors.ts'
import type { Config } from '../model/config.ts'
import { openOfficial } from '../model/official.ts'
import type { ModelSource } from '../model/options.ts'
import type { Parameter } from '../model/tensorTable.ts'
import { parametersOf } from '../model/weights.ts'
import { openNamed } from '../named.ts'
import { sizeOf } from '../program/program.ts'
import type { Parameters } from './weights.ts'

/** Options for reading parameters. */
export interface LoadParametersOptions {
  /** Which parameters are read, by their official names; all by default. */
  readonly only?: (name: string) => boolean
  /** Aborts reading, with the reason of the signal. */
  readonly signal?: AbortSignal
}

/**
 * Reads the parameters of a model from a checkpoint, under their official names. Other
 * tensors are ignored.
 * @param source as for TRecViT.load
 * @returns those that the checkpoint has
 * @throws TrecvitError if the file cannot be read, stores integers, or a tensor has another shape
 * @example
 * const start = new Map([...initialise(config, 1), ...(await loadParameters('mae', config))])
 */
export async function loadParameters(
  source: ModelSource,
  config: Config,
  { only = () => true, signal }: LoadParametersOptions = {},
): Promise<Map<string, Float32Array>> {
  const options = signal ? { signal } : {}
  const { checkpoint } = await openOfficial(await openNamed(source, options), options)
  try {
    const found = new Map<string, Float32Array>()
    for (const { name, shape } of parametersOf(config)) {
      const stored = checkpoint.tensors.get(name)
      if (!stored || !only(name)) continue
      if (!/^b?f\d/.test(stored.dtype))
        throw new TrecvitError(
          `"${name}" in ${checkpoint.name} expected floating-point values to train, got ` +
            `${stored.dtype}; start from the checkpoint that it was converted from`,
        )
      if (String(stored.shape) !== String(shape))
        throw new TrecvitError(
          `"${name}" in ${checkpoint.name} expected shape [${shape}], got [${stored.shape}]`,
        )
      const values = new Float32Array(sizeOf(shape))
      await checkpoint.read(name, (part, at) => values.set(part, at), signal)
      found.set(name, values)
    }
    return found
  } finally {
    await checkpoint.close()
  }
}

/**
 * Writes parameters as a .safetensors file that TRecViT.load and the command line read.
 * @param labels names of the classes
 * @example
 * const bytes = await encodeCheckpoint(config, parameters, ['wave', 'clap'])
 * await writeFile('model.safetensors', bytes)
 */
export function encodeCheckpoint(
  config: Config,
  parameters: Parameters,
  labels?: readonly string[] | null,
): Promise<Uint8Array> {
  const { framesPerClip, imageSize } = config
  return encodeTensors(tensorsOf(parametersOf(config), parameters), {
    config: JSON.stringify({ framesPerClip, imageSize }),
    ...(labels && { labels: JSON.stringify(labels) }),
  })
}

/** A tensor in a file. */
export interface Stored {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** Returns the parameters of a model as tensors of a file. */
export function tensorsOf(table: readonly Parameter[], parameters: Parameters): Stored[] {
  return table.map(({ name, shape }) => ({ name, shape, values: parameters.get(name)! }))
}

/** Writes tensors as a .safetensors file. */
export async function encodeTensors(
  tensors: readonly Stored[],
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  await writeSafetensors(
    tensors.map(({ name, shape, values }) => ({
      ...{ name, shape, dtype: 'f32' },
      values: (sink: Sink) => inChunks(values, sink),
    })),
    metadata,
    async (bytes) => {
      parts.push(Uint8Array.from(bytes))
    },
  )
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

async function inChunks(values: Float32Array, sink: Sink): Promise<void> {
  for (let at = 0; at < values.length; at += CHUNK) await sink(values.subarray(at, at + CHUNK), at)
}
