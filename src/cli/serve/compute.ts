/**
 * Computes the outputs of an inference request: of whole videos, or of the next frames of a stream
 * with an id.
 */
import type { Session } from '../../stream/session.ts'
import type { OutputTensor } from './answer.ts'
import { infer } from './infer.ts'
import type { Metrics } from './metrics.ts'
import { withSequence } from './sequences/request.ts'
import type { Sequences } from './sequences/sequences.ts'
import type { Served } from './served.ts'
import type { InferRequest } from './tensors.ts'

/** Outputs of a request. */
interface Computed {
  readonly outputs: OutputTensor[]
  /** For a stream with an id. */
  readonly parameters?: Readonly<Record<string, unknown>>
}

/**
 * @throws the reason of the signal if it is aborted
 * @throws UnavailableError if the model failed
 */
export async function compute(
  { metrics, sequences }: { readonly metrics: Metrics; readonly sequences: Sequences },
  { name, shared: { model }, health }: Served,
  request: InferRequest,
  signal: AbortSignal,
): Promise<Computed> {
  const onFrames = (count: number): void => {
    health.answered()
    metrics.inferred(name, count)
  }
  const run = (session?: Session) =>
    health.watch(infer(model, request, signal, onFrames, session), signal)
  const { sequence } = request
  if (!sequence) return { outputs: await run() }
  const { result, frame } = await withSequence(sequences, { model, name }, sequence, signal, run)
  return { outputs: result, parameters: { sequence_id: sequence.id, sequence_frame: frame } }
}
