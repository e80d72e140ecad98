import { TrecvitError } from '../error.ts'

/** One class of an answer. */
export interface Class {
  /** Name of the class, or null for a model without labels. */
  readonly label: string | null
  readonly index: number
  /** 0..1. */
  readonly prob: number
}

/**
 * The names of a model's classes: those given, else those the checkpoint carries, else for a head of 400 classes those of Kinetics-400
 * (in the official order: alphabetical), else null.
 * @throws TrecvitError if their number is not that of the classes
 */
export async function labelsFor(numClasses: number, given: readonly string[] | undefined, carried: string | undefined): Promise<readonly string[] | null> {
  if (numClasses === 0) return null
  const labels = given ?? (carried === undefined ? undefined : parse(carried)) ?? (numClasses === 400 ? await kinetics400() : null)
  if (labels && labels.length !== numClasses) throw new TrecvitError(`"labels" expected ${numClasses} names, one for each class, got ${labels.length}`)
  return labels
}

async function kinetics400(): Promise<string[]> {
  return (await import('../../models/kinetics400.txt')).default.trim().split(/\r?\n/)
}

function parse(json: string): string[] {
  let labels: unknown
  try {
    labels = JSON.parse(json)
  } catch {
    labels = null
  }
  if (!Array.isArray(labels) || labels.some((label) => typeof label !== 'string')) {
    throw new TrecvitError('The checkpoint carries labels that are not a JSON list of strings; give "labels" instead')
  }
  return labels as string[]
}

/** The k most probable classes, the most probable first; equal ones in the order of their index. */
export function topOf(probs: Float32Array, labels: readonly string[] | null, k: number): Class[] {
  const order = Array.from(probs.keys()).sort((one, other) => probs[other]! - probs[one]! || one - other)
  return order.slice(0, k).map((index) => ({ label: labels?.[index] ?? null, index, prob: probs[index]! }))
}
