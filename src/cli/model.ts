/**
 * Loads the model that the options of a command describe.
 */

import { GPU_BOUND } from '../backend/selfTest.ts'
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { Config } from '../model/config.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { environment } from '../platform/platform.ts'
import type { ConfigOptions, ModelOptions } from './options.ts'
import { showProgress } from './progress.ts'
import { note, table } from './terminal.ts'
import { localSource } from './weights.ts'

/** Returns the fields of the configuration that were given as options. */
export function givenConfig({ imageSize, framesPerClip }: ConfigOptions): Partial<Config> {
  return { ...(imageSize && { imageSize }), ...(framesPerClip !== undefined && { framesPerClip }) }
}

/**
 * Reads a file of labels.
 * @throws TrecvitError if it cannot be read
 */
export async function readLabels(path: string): Promise<string[]> {
  const { readFile } = await import('node:fs/promises')
  const { parseLabels } = await import('../model/labels.ts')
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new TrecvitError(
      `The labels at "${path}" cannot be read (${error.code ?? error.message}); ` +
        'give a text file with one name a line',
      { cause: error },
    )
  })
  return parseLabels(bytes, path)
}

/**
 * Loads the model and prints its warnings to standard error.
 * @param workerUrl script of the compute threads; by default the built-in one
 * @throws TrecvitError if the checkpoint or an option is not valid
 */
export async function openModel(
  options: ModelOptions,
  signal: AbortSignal,
  workerUrl?: URL,
): Promise<TRecViT> {
  const { TRecViT } = await import('../model/trecvit.ts')
  const source = await localSource(options.model, options, signal, options.dtype)
  const progress = await showProgress(options, 'Loading', 'MB', null)
  try {
    const model = await TRecViT.load(source, {
      device: options.device,
      config: givenConfig(options),
      signal,
      ...(options.dtype !== undefined && { dtype: options.dtype }),
      ...(options.threads !== undefined && { threads: options.threads }),
      ...(workerUrl !== undefined && { workerUrl }),
      ...(options.deterministic && { deterministic: true }),
      ...(options.experimentalRevectorize && { experimentalRevectorize: true }),
      ...(options.labels !== undefined && { labels: await readLabels(options.labels) }),
      onProgress: (done, total) => progress.update(done / 1e6, total / 1e6),
    })
    progress.stop()
    if (!options.quiet) for (const warning of model.warnings) note(`warning: ${warning}`)
    if (debugLevel() >= 1)
      note(
        'debug: ' +
          `${deviceOf(model)}${model.device.reason === null ? '' : `; ${model.device.reason}`}`,
      )
    return model
  } finally {
    progress.stop()
  }
}

/** Describes the device. */
export function deviceOf({ device: { backend, kernels, threads } }: TRecViT): string {
  return backend === 'webgpu'
    ? `webgpu (${kernels})`
    : `wasm (${kernels}, ${threads} ${threads === 1 ? 'thread' : 'threads'})`
}

function debugLevel(): number {
  return Number(environment('TRECVIT_DEBUG')) || 0
}

/**
 * Prints details to standard error. TRECVIT_DEBUG=2: time per operation; 3: time per step; 4: the
 * first step whose result differs from the CPU.
 */
export async function debugTimes(model: TRecViT, options: ModelOptions): Promise<void> {
  if (debugLevel() < 2) return
  const [height, width] = model.config.imageSize
  const frame = {
    data: Uint8Array.from(
      { length: height * width * 3 },
      (_, i) => Math.imul(i, 0x9e3779b1) >>> 24,
    ),
    shape: [1, height, width, 3],
  }
  const timings = await model.profile(frame)
  const milliseconds = (time: number) => `${time.toFixed(3).padStart(9)} ms`
  if (debugLevel() >= 3) {
    const tensors = await model.trace(frame)
    note(
      table(
        timings.map(({ op, name, milliseconds: time }) => [
          `debug: ${milliseconds(time)}`,
          op,
          name,
          `[${tensors.get(name)!.shape}]`,
        ]),
      ),
    )
  }
  const ops = new Map<string, number>()
  for (const { op, milliseconds: time } of timings) ops.set(op, (ops.get(op) ?? 0) + time)
  const rows = [...ops]
    .sort(([, one], [, other]) => other - one)
    .map(([op, time]) => [`debug: ${milliseconds(time)}`, op])
  note(
    table([
      ...rows,
      [
        `debug: ${milliseconds(timings.reduce((sum, { milliseconds: time }) => sum + time, 0))}`,
        'one frame',
      ],
    ]),
  )
  if (debugLevel() >= 4) note(`debug: ${await firstDeparture(model, options, frame)}`)
}

/** Finds the first step that differs from the CPU by more than the tolerance of a GPU. */
async function firstDeparture(
  model: TRecViT,
  options: ModelOptions,
  frame: NdArray<Uint8Array>,
): Promise<string> {
  const { TRecViT } = await import('../model/trecvit.ts')
  await using cpu = await TRecViT.load(options.model, {
    device: 'wasm',
    deterministic: true,
    dtype: model.dtype,
    config: givenConfig(options),
  })
  const [want, got] = [await cpu.trace(frame), await model.trace(frame)]
  let worst = 0
  for (const [name, { data }] of want) {
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error =
      data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - got.get(name)!.data[i]!)),
        0,
      ) / (largest || 1)
    if (!(error <= GPU_BOUND))
      return (
        `"${name}" is the first step that differs from the CPU, ` +
        `by ${error.toExponential(1)} of its largest value`
      )
    worst = Math.max(worst, error)
  }
  return `no step differs from the CPU by more than ${worst.toExponential(1)} of its largest value`
}
