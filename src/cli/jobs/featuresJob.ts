/** Writes the features of the video of a job, and goes on where another worker has stopped. */
import { constants, type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { TrecvitError } from '../../base/error.ts'
import { tokensOf } from '../../model/config.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { NpyWriter, pool } from '../featureFiles.ts'
import { writeFeatures } from '../features.ts'
import { openInput } from '../input.ts'
import { type Output, OutputError } from '../output.ts'
import type { Keeper } from './keeper.ts'
import { pushAll } from './pushAll.ts'
import type { Settings } from './settings.ts'
import type { JobData } from './types.ts'

/** Result of a job. */
export interface Encoded {
  readonly output: string
  readonly frames: number
  /** Why the video ended early. */
  readonly error?: string
}

/**
 * Writes features as "trecvit features" does. An .npy file is written as `<output>.<id>.part` until
 * it is complete, so that another worker can go on with it. An .npz file is written at the end.
 * @returns null if the signal was aborted; the keeper then has the state, if there is one
 * @throws TrecvitError if the video cannot be read, or the file cannot be written
 */
export async function featuresJob(
  model: TRecViT,
  { id, video: source, output = '' }: JobData & { readonly id: string },
  { reading, pool: how }: Settings,
  keeper: Keeper<null>,
  signal: AbortSignal,
): Promise<Encoded | null> {
  if (output.endsWith('.npz')) {
    const { shape, broken } = await writeFeatures(model, source, output, how, reading, signal)
    return { output, frames: shape[0]!, ...(broken && { error: broken.message }) }
  }
  const { config } = model
  const rowShape = how ? [config.width] : [tokensOf(config), config.width]
  const path = `${output}.${id}.part`
  const size = (await stat(path).catch(() => null))?.size ?? 0
  // Without the rows before, the state is of no use.
  if (size < new NpyWriter(rowShape).sizeOf(keeper.from?.frames ?? 0)) keeper.from = null
  const { from } = keeper
  const video = await openInput(source, reading, signal)
  const file = await openPart(path)
  try {
    await using stream = from ? await model.resumeFeatures(from.snapshot) : model.featureStream()
    const writer = new NpyWriter(rowShape, from?.frames)
    const target = outputOf(file, path, writer.sizeOf(from?.frames ?? 0))
    const frames = await pushAll(
      stream,
      video.frames,
      keeper,
      {
        use: ({ features }) => writer.add(target, pool(features.data, how, config)),
        state: () => null,
      },
      signal,
    )
    if (signal.aborted) return null
    if (frames === 0) throw new TrecvitError('The video has no frames')
    await writer.end(target)
    await rename(path, output).catch((error: NodeJS.ErrnoException) => refuse(output, error))
    const broken = video.broken()
    return { output, frames, ...(broken && { error: broken.message }) }
  } finally {
    await file.close()
    await video.close()
  }
}

/**
 * Opens a file, and keeps what it has: a worker that was believed dead may still write its rows,
 * which are the same.
 */
async function openPart(path: string): Promise<FileHandle> {
  const refused = (error: NodeJS.ErrnoException): never => refuse(path, error)
  await mkdir(dirname(path), { recursive: true }).catch(refused)
  return open(path, constants.O_RDWR | constants.O_CREAT).catch(refused)
}

/** Returns an output that appends from a position on, or overwrites. */
function outputOf(file: FileHandle, path: string, from: number): Output {
  let end = from
  return {
    async write(bytes, position) {
      const at = position ?? end
      if (position === undefined) end += bytes.length
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await file
          .write(bytes, done, bytes.length - done, at + done)
          .catch((error: NodeJS.ErrnoException) => refuse(path, error))
        done += bytesWritten
      }
    },
  }
}

function refuse(path: string, error: NodeJS.ErrnoException): never {
  const advice = 'check that its folder may be written to and has room'
  throw new OutputError(`"${path}" cannot be written (${error.code ?? error.message}); ${advice}`, {
    cause: error,
  })
}
