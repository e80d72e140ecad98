import type { Config } from '../../src/model/config.ts'
import type { Parameters } from '../../src/train/index.ts'

/** What is trained: a model on one clip, by AdamW with the usual betas and epsilon. */
export interface Training {
  readonly config: Config
  /** Values of the parameters before the first step. */
  readonly parameters: Parameters
  /** Frames [H, W, 3], bytes. */
  readonly frames: readonly Uint8Array[]
  /** Class of the clip. */
  readonly label: number
  readonly learningRate: number
  /** Decay of matrices. */
  readonly weightDecay: number
}

/** Result of a training step. */
export interface PeerStep {
  /** Before the update. */
  readonly loss: number
  /** Norm of all gradients, if it is known. */
  readonly gradientNorm?: number
  /** Milliseconds of CPU time, if another process computes. */
  readonly cpu?: number
}

/** Training in another runtime. */
export interface TrainingPeer {
  /** Version of the runtime. */
  readonly version: string
  /** Whether a step updates the weights. If not, it computes the loss and its gradients alone. */
  readonly updates: boolean
  step(): Promise<PeerStep>
  dispose(): void
}

/** Returns the pixels of a frame in 0..1. */
export function pixelsOf(frame: Uint8Array): Float32Array {
  return Float32Array.from(frame, (value) => value / 255)
}
