/** A trainer as a file: parameters, moments and the number of steps. */
import { TrecvitError } from '../base/error.ts'
import { openCheckpoint } from '../checkpoint/checkpoint.ts'
import type { Config } from '../model/config.ts'
import { parametersOf } from '../model/weights.ts'
import { sizeOf } from '../program/program.ts'
import { encodeTensors, type Stored, tensorsOf } from './checkpoint.ts'
import { type DecoderConfig, maskedParametersOf } from './maskedModel.ts'
import type { Parameters } from './weights.ts'

/** What a trainer needs to continue. */
export interface Snapshot {
  readonly config: Config
  /** Of a masked auto-encoder. */
  readonly decoder?: DecoderConfig
  /** Number of updates so far. */
  readonly steps: number
  readonly parameters: Parameters
  /** Values of the moments and averages by the names of their weights. */
  readonly moments: ReadonlyMap<string, Float32Array>
}

/** Key of the metadata of a trainer. The file of a model does not have it. */
const KEY = 'trainer'

/** Writes a snapshot. The file is a model as well: TRecViT.load ignores the moments. */
export function encodeSnapshot(
  { config, decoder, steps, parameters, moments }: Snapshot,
  labels?: readonly string[] | null,
): Promise<Uint8Array> {
  const { framesPerClip, imageSize } = config
  const table = decoder ? maskedParametersOf(config, decoder) : parametersOf(config)
  const tensors: Stored[] = [
    ...tensorsOf(table, parameters),
    ...Array.from(moments, ([name, values]) => ({ name, shape: [values.length], values })),
  ]
  return encodeTensors(tensors, {
    config: JSON.stringify({ framesPerClip, imageSize }),
    [KEY]: JSON.stringify({ config, decoder, steps }),
    ...(labels && { labels: JSON.stringify(labels) }),
  })
}

/**
 * Reads a snapshot.
 * @throws TrecvitError if the bytes are damaged, or are a model without moments
 */
export async function decodeSnapshot(bytes: Uint8Array): Promise<Snapshot> {
  const file = await openCheckpoint(bytes)
  try {
    const json = file.metadata[KEY]
    if (json === undefined)
      throw new TrecvitError(
        'The snapshot of a trainer expected bytes from "save", got a model without moments; ' +
          'start a new trainer from it',
      )
    const described = JSON.parse(json) as Pick<Snapshot, 'config' | 'decoder' | 'steps'>
    const parameters = new Map<string, Float32Array>()
    const moments = new Map<string, Float32Array>()
    for (const { name, shape } of file.tensors.values()) {
      const values = new Float32Array(sizeOf(shape))
      await file.read(name, (part, at) => values.set(part, at))
      if (/^(m|v|ema)\//.test(name)) moments.set(name, values)
      else parameters.set(name, values)
    }
    return { ...described, parameters, moments }
  } finally {
    await file.close()
  }
}
