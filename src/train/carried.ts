/** The states that videos carry from one chunk of frames to the next. */
import { type Program, sizeOf } from '../program/program.ts'

/** Values of the states of some videos after a chunk, by name, [b, ..] each. */
export type Carried = ReadonlyMap<string, Float32Array>

/** Prefix of the names of steps that are computed again, and of their states. */
export const AGAIN = 'again/'

/** Returns the name of the input that holds a state before the chunk. */
export function carriedName(state: string): string {
  return `carried/${state}`
}

/** Returns the values of all states of a program before a chunk. */
export function statesBefore({ states }: Program, carried: Carried): Float32Array[] {
  return states.map(({ name }) => carried.get(original(name))!)
}

/** Returns the states that the next chunk needs, from those of a program after a chunk. */
export function statesAfter({ states }: Program, values: readonly Float32Array[]): Carried {
  const pairs = states.map(({ name }, index) => [name, values[index]!] as const)
  return new Map(pairs.filter(([name]) => name === original(name)))
}

/** Returns the inputs that hold states before a chunk: the rows of a state, each padded by 0. */
export function carriedInputs(
  { states, inputs }: Program,
  carried: Carried,
): Record<string, Float32Array> {
  const found: Record<string, Float32Array> = {}
  for (const { name, shape } of states) {
    const input = inputs[carriedName(name)]
    if (!input) continue
    const values = carried.get(original(name))!
    const [from, to] = [shape.at(-1)!, input.shape.at(-1)!]
    const rows = new Float32Array(sizeOf(input.shape))
    for (let row = 0; row * from < values.length; row++)
      rows.set(values.subarray(row * from, (row + 1) * from), row * to)
    found[carriedName(name)] = rows
  }
  return found
}

/** Returns the states of several videos from those of each. */
export function joinVideos(videos: readonly Carried[]): Carried {
  return new Map(
    Array.from(videos[0]!, ([name, { length }]) => {
      const all = new Float32Array(videos.length * length)
      videos.forEach((video, index) => all.set(video.get(name)!, index * length))
      return [name, all]
    }),
  )
}

/** Returns the states of each of b videos. */
export function splitVideos(carried: Carried, b: number): Carried[] {
  const one = (values: Float32Array, video: number) =>
    values.slice((video * values.length) / b, ((video + 1) * values.length) / b)
  return Array.from(
    { length: b },
    (_, video) => new Map(Array.from(carried, ([name, values]) => [name, one(values, video)])),
  )
}

function original(name: string): string {
  return name.startsWith(AGAIN) ? name.slice(AGAIN.length) : name
}
