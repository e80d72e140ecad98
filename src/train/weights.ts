/**
 * The weights of a model in training. A weight that is a function of parameters cannot be trained
 * itself, so these parameters are weights of their own, and the function is evaluated again after
 * each update.
 */
import { TrecvitError } from '../base/error.ts'
import { type EncoderConfig, gridOf, leadOf } from '../model/config.ts'
import type { Parameter, WeightSource } from '../model/tensorTable.ts'
import { floatWriter, type Target } from '../model/writers.ts'
import { sizeOf, type Tensor, type Weight } from '../program/program.ts'
import type { TrainingRecorder } from './recorder.ts'
import { rows } from './views.ts'

/** Values of parameters by their official names, row-major. */
export type Parameters = ReadonlyMap<string, Float32Array>

/** A weight that is a copy of parameters. */
export type Copied = Extract<WeightSource, { parts: unknown }>

/** A weight that is a function of parameters. */
export type Derived = Extract<WeightSource, { derive: unknown }>

/** The weights of a model in training. */
export interface TrainingWeights {
  readonly encoder: EncoderConfig
  readonly parameters: readonly Parameter[]
  /** The weights with values of their own: those that can be trained. */
  readonly copied: readonly Copied[]
  /** The weights that are computed from some of the others. */
  readonly derived: readonly Derived[]
}

/** The weights of a model in training, and how they are trained. */
export interface Training {
  readonly weights: TrainingWeights
  readonly trained: readonly Copied[]
  /** What is kept of the forward pass (see differentiate); 'none' by default. */
  readonly recompute?: 'none' | 'layer'
  /** Whether there are exponential moving averages of the trained weights. */
  readonly averages?: boolean
}

/**
 * Returns the weights of a model in training.
 * @param parameters the parameters of the model
 * @param table the weights that its graph reads
 */
export function trainingWeights(
  encoder: EncoderConfig,
  parameters: readonly Parameter[],
  table: readonly WeightSource[],
): TrainingWeights {
  const shapes = new Map(parameters.map((parameter) => [parameter.name, parameter]))
  const derived = table.filter((weight) => 'derive' in weight)
  return {
    encoder,
    parameters,
    copied: [
      ...table.filter((weight) => 'parts' in weight),
      ...derived.flatMap(({ parameters, columns }) =>
        parameters.map((name) => ownWeight(shapes.get(name)!, columns)),
      ),
    ],
    derived,
  }
}

function ownWeight({ name, shape }: Parameter, columns: number): Copied {
  return {
    ...{ name, kind: 'rows', blocks: 1, rows: sizeOf(shape) / columns, columns },
    parts: [{ parameter: name, from: 0, columns, at: 0 }],
  }
}

/** Writes weights. */
export function writeParameters(
  target: Target,
  weights: readonly (Copied | Derived)[],
  parameters: Parameters,
): void {
  for (const weight of weights)
    if ('derive' in weight) {
      const values = weight.derive(weight.parameters.map((name) => parameters.get(name)!))
      target.write(weight, values, 0, weight.columns, 0)
    } else
      for (const part of weight.parts)
        floatWriter(target, weight, part).add(parameters.get(part.parameter)!, 0)
}

/**
 * Copies the values of a weight to the parameters that it is made of.
 * @param values [blocks, rows, columns]
 */
export function splitWeight(
  weight: Copied,
  values: Float32Array,
  into: Map<string, Float32Array>,
): void {
  const { columns, blocks, rows: count, parts } = weight
  for (const { parameter, from, columns: width, at } of parts) {
    const to = into.get(parameter)!
    for (let row = 0; row < blocks * count; row++)
      to.set(values.subarray(row * columns + at, row * columns + at + width), from + row * width)
  }
}

/**
 * Whether the parameters of a weight are trained.
 * @throws TrecvitError if some are and some are not
 */
export function isTrained(
  { name, parts }: Copied,
  trains: (parameter: string) => boolean,
): boolean {
  const names = parts.map(({ parameter }) => parameter)
  const trained = names.filter(trains)
  if (trained.length > 0 && trained.length < names.length)
    throw new TrecvitError(
      `"${name}" is one matrix of ${names.map((each) => `"${each}"`).join(' and ')}: train all ` +
        `of them or none, got only ${trained.map((each) => `"${each}"`).join(' and ')}`,
    )
  return trained.length > 0
}

/**
 * Whether weight decay acts on a weight: on kernels (`kernel` or `w`) of at least two axes, as in
 * optax masks of the official kind.
 */
export function decays(weight: Copied): boolean {
  return weight.rows > 1 && /(^|\/)(kernel|w)$/.test(weight.parts[0]!.parameter)
}

/**
 * Records the gradients of parameters from those of the weights that are functions of them.
 * @param gradients gradients of weights; those of derived weights are replaced
 */
export function toParameters(
  ops: TrainingRecorder,
  { encoder, derived }: TrainingWeights,
  gradients: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> {
  const found = new Map(gradients)
  for (const { name, parameters } of derived) {
    const gradient = found.get(name)
    if (!found.delete(name) || !gradient) continue
    const [first, ...rest] = parameters as [string, ...string[]]
    if (name.endsWith('/decay')) {
      found.set(first, ops.decayGradient(`gradient/${first}`, gradient, first))
      continue
    }
    // The table of tokens: bias, then positions and the class token, if they are learned.
    const [height, width] = gridOf(encoder)
    const patches = rows(gradient, leadOf(encoder), height * width)
    found.set(first, ops.sumRows(`gradient/${first}`, patches))
    for (const each of rest) found.set(each, each.endsWith('/cls') ? rows(gradient, 0, 1) : patches)
  }
  return found
}

/**
 * A weight beside each trained weight, of the same layout: `m`, the mean of its gradients; `v`, the
 * mean of their squares; `g`, the sum of the gradients of micro-batches; `ema`, the exponential
 * moving average of its values.
 */
type Role = 'm' | 'v' | 'g' | 'ema'

/** Returns the name of a weight beside another one. */
export function beside(role: Role, { name }: Pick<Weight, 'name'>): string {
  return `${role}/${name}`
}

/** Returns all weights on the device. */
export function deviceWeights(training: Training): Weight[] {
  const { trained, averages, weights } = training
  const copies = (['m', 'v', 'g'] as const).flatMap((role) =>
    trained.map((weight) => ({ ...weight, name: beside(role, weight) })),
  )
  const { copied, derived } = weights
  return [...copied, ...derived, ...copies, ...(averages ? averagesOf(training) : [])]
}

/** Returns the weights that a snapshot holds beside the parameters. */
export function savedWeights({ trained, averages }: Training): Weight[] {
  const roles: Role[] = averages ? ['m', 'v', 'ema'] : ['m', 'v']
  return trained.flatMap((weight) =>
    roles.map((role) => ({ ...weight, name: beside(role, weight) })),
  )
}

/** Returns the averages of trained weights, and of the weights that are functions of them. */
export function averagesOf({ weights: { derived }, trained }: Training): (Copied | Derived)[] {
  const names = new Set(trained.map(({ name }) => name))
  return [
    ...trained,
    ...derived.filter(({ parameters }) => parameters.some((name) => names.has(name))),
  ].map((weight) => ({ ...weight, name: beside('ema', weight) }))
}
