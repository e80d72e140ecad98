/**
 * A model, as the options of a command say.
 */
import type { Config } from '../model/config.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { TrecvitError } from '../error.ts'
import { environment } from '../platform/platform.ts'
import type { ConfigOptions, ModelOptions } from './options.ts'
import { follow } from './progress.ts'
import { note, table } from './terminal.ts'

/** What of the configuration was given as options. */
export function configOf({ imageSize, framesPerClip }: ConfigOptions): Partial<Config> {
  return { ...(imageSize && { imageSize }), ...(framesPerClip !== undefined && { framesPerClip }) }
}

/**
 * The lines of a file of labels; empty lines at its end do not count.
 * @throws TrecvitError if it cannot be read
 */
export async function readLabels(path: string): Promise<string[]> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new TrecvitError(`The labels at "${path}" cannot be read (${error.code ?? error.message}); give a text file with one name a line`, { cause: error })
  })
  return text.trimEnd().split(/\r?\n/)
}

/**
 * Loads the model; its warnings go to standard error.
 * @throws TrecvitError if the checkpoint or an option does not fit
 */
export async function openModel(options: ModelOptions, signal: AbortSignal): Promise<TRecViT> {
  const { TRecViT } = await import('../model/trecvit.ts')
  const progress = await follow(options, 'Loading', 'MB', null)
  try {
    const model = await TRecViT.load(options.model, {
      device: options.device, config: configOf(options), signal,
      ...(options.threads !== undefined && { threads: options.threads }),
      ...(options.labels !== undefined && { labels: await readLabels(options.labels) }),
      onProgress: (done, total) => progress.update(done / 1e6, total / 1e6),
    })
    progress.stop()
    if (!options.quiet) for (const warning of model.warnings) note(`warning: ${warning}`)
    if (debugLevel() >= 1) note(`debug: ${deviceOf(model)}${model.device.reason === null ? '' : `; ${model.device.reason}`}`)
    return model
  } finally {
    progress.stop()
  }
}

/** The device in words. */
export function deviceOf({ device: { backend, kernels, threads } }: TRecViT): string {
  return `${backend} (${kernels}, ${threads} ${threads === 1 ? 'thread' : 'threads'})`
}

function debugLevel(): number {
  return Number(environment('TRECVIT_DEBUG')) || 0
}

/** With TRECVIT_DEBUG=2, where the time of a frame goes, operation by operation; with 3, step by step. To standard error. */
export async function debugTimes(model: TRecViT): Promise<void> {
  if (debugLevel() < 2) return
  const [height, width] = model.config.imageSize
  const frame = { data: new Uint8Array(height * width * 3), shape: [1, height, width, 3] }
  const timings = await model.profile(frame)
  const milliseconds = (time: number) => `${time.toFixed(3).padStart(9)} ms`
  if (debugLevel() >= 3) {
    const tensors = await model.trace(frame)
    note(table(timings.map(({ op, name, milliseconds: time }) => [`debug: ${milliseconds(time)}`, op, name, `[${tensors.get(name)!.shape}]`])))
  }
  const ops = new Map<string, number>()
  for (const { op, milliseconds: time } of timings) ops.set(op, (ops.get(op) ?? 0) + time)
  const rows = [...ops].sort(([, one], [, other]) => other - one).map(([op, time]) => [`debug: ${milliseconds(time)}`, op])
  note(table([...rows, [`debug: ${milliseconds(timings.reduce((sum, { milliseconds: time }) => sum + time, 0))}`, 'one frame']]))
}
