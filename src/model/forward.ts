/** Runs over arrays of frames: the official forward pass, and its parts. */
import type { Watch } from '../backend/backend.ts'
import { checkArray, checkPixels, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { flopsOf } from '../program/listing.ts'
import type { Outputs, Session } from '../stream/session.ts'
import { type Config, frameSizeOf, tokensOf } from './config.ts'
import { RUN_OPTIONS, type RunOptions } from './options.ts'
import type { Sessions } from './sessions.ts'

/** Results of the whole model for b videos (trecvit/modules.py TRecViT.__call__). */
export interface ForwardResult {
  /** `[b, c]`: mean over the clips of clipLogits. */
  readonly logits: NdArray<Float32Array>
  /** `[b, c]`: mean over the clips of clipProbs, which is not the softmax of `logits`. */
  readonly probs: NdArray<Float32Array>
  /** [b, clips, c] */
  readonly clipLogits: NdArray<Float32Array>
  /** [b, clips, c] */
  readonly clipProbs: NdArray<Float32Array>
  /** `[b, clips, rep]`: mean over the frames of a clip. */
  readonly preLogits: NdArray<Float32Array>
}

/** See TRecViT.forward. */
export async function forward(
  sessions: Sessions,
  frames: NdArray,
  options: RunOptions,
): Promise<ForwardResult> {
  checkOptions('forward', options, RUN_OPTIONS)
  const { b, clips, chunks } = await runClips(sessions, frames, false, options)
  const { numClasses: c, repSize } = sessions.config
  // The result of a clip is that of its last frame.
  const last = (name: string, size: number) =>
    join(chunks.map((own) => own[own.length - 1]![name]!.slice(-size)))
  const clipLogits = last('logits', c)
  const clipProbs = last('probs', c)
  return {
    logits: { data: meanOverClips(clipLogits, b, clips, c), shape: [b, c] },
    probs: { data: meanOverClips(clipProbs, b, clips, c), shape: [b, c] },
    clipLogits: { data: clipLogits, shape: [b, clips, c] },
    clipProbs: { data: clipProbs, shape: [b, clips, c] },
    preLogits: { data: last('pre_logits', repSize), shape: [b, clips, repSize] },
  }
}

/** See TRecViT.features. */
export async function features(
  sessions: Sessions,
  frames: NdArray,
  options: RunOptions,
): Promise<NdArray<Float32Array>> {
  checkOptions('features', options, RUN_OPTIONS)
  const { config } = sessions
  const { b, t, chunks } = await runClips(sessions, frames, true, options)
  return {
    data: join(chunks.flatMap((own) => own.map((outputs) => outputs['encoded']!))),
    shape: [b, t, tokensOf(config), config.width],
  }
}

/**
 * Runs one video as one chunk, with states that are zero. Its outputs include the encoded tokens.
 */
export async function runWhole<T>(
  sessions: Sessions,
  frames: NdArray,
  run: (session: Session, pixels: NdArray['data'], t: number) => Promise<T>,
): Promise<T> {
  const { pixels, b, t } = checkFrames(sessions.config, frames)
  if (b !== 1) throw new TrecvitError(`"frames" expected one video, got ${b}`)
  const session = sessions.open({ b, recent: 'all', encoded: true })
  try {
    return await run(session, pixels, t)
  } finally {
    await session.dispose()
  }
}

/** Time of one step of a program. */
export interface Timing {
  /** Operation, for example `linear`. */
  readonly op: string
  /** Name of the step, as `trace` has it. */
  readonly name: string
  /** Wall time of the step. */
  readonly milliseconds: number
  /** Floating-point operations, 0 for element-wise steps. */
  readonly flops: number
}

/** See TRecViT.profile. */
export async function profile(sessions: Sessions, frames: NdArray): Promise<Timing[]> {
  const timings: Timing[] = []
  const run = (watch: Watch) =>
    runWhole(sessions, frames, (session, pixels, t) => session.advance(pixels, t, { watch }))
  await run(() => {})
  await run((step, milliseconds) => {
    timings.push({ op: step.op, name: step.name, milliseconds, flops: flopsOf(step) })
  })
  return timings
}

/** Checks frames [t, H, W, 3] or [b, t, H, W, 3] and their values. */
function checkFrames(
  { imageSize }: Config,
  frames: NdArray,
): { pixels: NdArray['data']; b: number; t: number } {
  const pixels = checkArray('frames', frames)
  const shape = frames.shape.length === 4 ? [1, ...frames.shape] : frames.shape
  const expected = [...imageSize, 3]
  if (shape.length !== 5 || String(shape.slice(2)) !== String(expected) || Math.min(...shape) < 1) {
    throw new TrecvitError(
      `"frames" expected shape [t,${expected}] or [b,t,${expected}], got [${frames.shape}]`,
    )
  }
  checkPixels('frames', pixels)
  return { pixels, b: shape[0]!, t: shape[1]! }
}

/**
 * Runs every clip of every video, each with states that are zero.
 * @returns `chunks`: for each clip, the outputs of its chunks
 */
async function runClips(
  sessions: Sessions,
  frames: NdArray,
  encoded: boolean,
  { onProgress, signal }: RunOptions,
): Promise<{ b: number; t: number; clips: number; chunks: Outputs[][] }> {
  const { config } = sessions
  const { pixels, b, t } = checkFrames(config, frames)
  const clips = Math.max(Math.floor(t / config.framesPerClip), 1)
  if (t % clips)
    throw new TrecvitError(
      `"frames" of ${t} expected a multiple of their ${clips} clips; drop ${t % clips} of them`,
    )
  const session = sessions.open({ b: 1, recent: 'all', encoded })
  try {
    const chunks: Outputs[][] = []
    for (let clip = 0; clip < b * clips; clip++) {
      const size = (t / clips) * frameSizeOf(config)
      if (clip) await session.reset()
      const own: Outputs[] = []
      for await (const outputs of sessions.feed(
        session,
        pixels.subarray(clip * size, (clip + 1) * size),
      )) {
        own.push(outputs)
        signal?.throwIfAborted()
        onProgress?.(clip * (t / clips) + session.frame, b * t)
      }
      chunks.push(own)
    }
    return { b, t, clips, chunks }
  } finally {
    await session.dispose()
  }
}

function join(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** [b, clips, c] → [b, c]: means over clips, summed in order in float64. */
function meanOverClips(values: Float32Array, b: number, clips: number, c: number): Float32Array {
  return Float32Array.from({ length: b * c }, (_, index) => {
    const video = Math.floor(index / c)
    let sum = 0
    for (let clip = 0; clip < clips; clip++)
      sum += values[(video * clips + clip) * c + (index % c)]!
    return sum / clips
  })
}
