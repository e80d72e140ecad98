/** What follows the loss in a step of training: gradients, their norm, and the update. */
import type { Program, Tensor, Weight } from '../program/program.ts'
import { differentiate, type Seed } from './differentiate.ts'
import { TrainingRecorder } from './recorder.ts'
import {
  averagesOf,
  beside,
  type Copied,
  decays,
  deviceWeights,
  type Training,
  type TrainingWeights,
  toParameters,
} from './weights.ts'

/** Numbers of an update that the caller writes before each run, in `rates` (see adamW). */
const RATES = 8

/**
 * What a program does with gradients: update the weights with them, add them to those of other
 * micro-batches, or return them.
 */
export type Use = 'update' | 'add' | 'return'

/**
 * Returns a recorder with all weights of a training.
 * @param averaged whether trained weights are replaced by their moving averages
 */
export function recorderOf(
  training: Training,
  b: number,
  t: number,
  averaged: boolean = false,
): TrainingRecorder {
  const table = new Map<string, Weight>(
    deviceWeights(training).map((weight) => [weight.name, weight]),
  )
  if (averaged)
    for (const weight of averagesOf(training)) table.set(weight.name.replace(/^ema\//, ''), weight)
  return new TrainingRecorder(b, t, table)
}

/**
 * Records the gradients, and what is done with them.
 * @param loss of each row
 * @param continues whether the frames continue videos
 * @returns outputs of the program: with 'update' those of `recordAdamW`, with 'return' `norm`
 * [1, 1] and `gradients/NAME` of each trained weight, with 'add' none. With 'add' the input
 * `adding` [1, 2] is [0, 1] for the first micro-batch and [1, 1] for the others.
 */
export function recordUpdate(
  ops: TrainingRecorder,
  training: Training,
  seeds: readonly Seed[],
  loss: Tensor,
  use: Use,
  continues: boolean = false,
): Record<string, Tensor> {
  const { weights, trained, recompute = 'none' } = training
  const names = neededNames(weights, trained)
  const found = differentiate(ops, seeds, ({ name }) => names.has(name), { recompute, continues })
  const all = [...toParameters(ops, weights, found)].filter(([name]) => names.has(name))
  const gradients = new Map(all)
  if (use === 'add') {
    const adding = ops.input('adding', [1, 2])
    // Its numbers are finite, so every gradient is added.
    const always = ops.columns(adding, 0, 1)
    for (const [name, gradient] of all)
      ops.blend(`sum/${name}`, gradient, adding, always, beside('g', { name }))
    return {}
  }
  const norm = recordNorm(ops, all)
  if (use === 'update')
    return recordAdamW(ops, training, norm, ({ name }) => gradients.get(name), loss)
  return {
    norm,
    ...Object.fromEntries(all.map(([name, gradient]) => [`gradients/${name}`, gradient])),
  }
}

/** Records an update with the sums of the gradients of micro-batches. */
export function recordSummedUpdate(training: Training): Program {
  const ops = recorderOf(training, 1, 1)
  const sum = (stage: string, weight: Copied) =>
    ops.weightValues(`${stage}/${weight.name}`, beside('g', weight))
  // Read once for the norm and once for the update, so that few are in memory at a time.
  const sums = function* () {
    for (const weight of training.trained) yield [weight.name, sum('sum', weight)] as const
  }
  const norm = recordNorm(ops, sums())
  return ops.end(recordAdamW(ops, training, norm, (weight) => sum('gradient', weight)))
}

/** Returns the weights whose gradients are needed: the trained ones, and functions of them. */
function neededNames(
  { derived }: TrainingWeights,
  trained: readonly Copied[],
): ReadonlySet<string> {
  const names = new Set(trained.map(({ name }) => name))
  for (const { name, parameters } of derived)
    if (parameters.some((parameter) => names.has(parameter))) names.add(name)
  return names
}

/** Records the norm of all gradients. */
function recordNorm(
  ops: TrainingRecorder,
  gradients: Iterable<readonly [name: string, gradient: Tensor]>,
): Tensor {
  let norm: Tensor | undefined
  for (const [name, gradient] of gradients) {
    const ofRows = ops.rowNorms(`norm/${name}/rows`, gradient)
    norm = ops.norm(`norm/${name}`, ofRows, norm ? { add: norm } : {})
  }
  return norm!
}

/**
 * Records an update of the trained weights by AdamW, and of their averages, with the inputs `rates`
 * and `rates/decayed` [1, 8] and, if there are averages, `averaging` [1, 2].
 * @param norm of all gradients. If it is not finite, nothing is changed
 * @param loss if it is not finite, nothing is changed either
 * @returns outputs of the program: `norm` [1, 1], and `parameters/NAME`: the new values of
 * parameters that other weights are functions of
 */
function recordAdamW(
  ops: TrainingRecorder,
  { weights, trained, averages }: Training,
  norm: Tensor,
  gradientOf: (weight: Copied) => Tensor | undefined,
  loss?: Tensor,
): Record<string, Tensor> {
  const rates = ops.input('rates', [1, RATES])
  const decayed = ops.input('rates/decayed', [1, RATES])
  const guard = loss ? guardedBy(ops, norm, loss, rates) : norm
  const updated = new Set<string>()
  for (const weight of trained) {
    const gradient = gradientOf(weight)
    if (!gradient) continue
    updated.add(weight.name)
    ops.adamW(
      ...([`update/${weight.name}`, gradient, decays(weight) ? decayed : rates, guard] as const),
      ...([weight.name, beside('m', weight), beside('v', weight)] as const),
    )
  }
  if (averages) {
    const averaging = ops.input('averaging', [1, 2])
    for (const { name } of trained) {
      const values = ops.weightValues(`average/${name}/values`, name)
      ops.blend(`average/${name}`, values, averaging, guard, beside('ema', { name }))
    }
  }
  const parts = weights.derived
    .flatMap(({ parameters }) => parameters)
    .filter((name) => updated.has(name))
    .map((name) => `parameters/${name}`)
  return {
    norm,
    ...Object.fromEntries(
      parts.map((name) => [name, ops.weightValues(name, name.replace('parameters/', ''))]),
    ),
  }
}

/** Records the norm again, as NaN if the loss is not finite. A loss may overflow alone. */
function guardedBy(ops: TrainingRecorder, norm: Tensor, loss: Tensor, rates: Tensor): Tensor {
  // The decay of `rates` is 0.
  const zero = ops.columns(rates, 6, 1)
  const lossNorm = ops.norm('loss/norm', loss)
  const product = ops.activate('loss/zero', lossNorm, 'none', { multiply: zero })
  return ops.add('norm/guarded', norm, product)
}
