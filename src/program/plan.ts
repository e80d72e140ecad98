import { type Buffer, inputsOf, outputsOf, type Program } from './program.ts'

/** Where the buffers of a program lie in one arena. */
export interface Plan {
  /** Byte offset of every buffer, a multiple of 64. */
  readonly offsets: ReadonlyMap<Buffer, number>
  /** Bytes of the arena. */
  readonly bytes: number
}

/** Which buffers of a program take turns in one piece of memory. */
export interface Slots {
  /** Number of the slot of every buffer. */
  readonly of: ReadonlyMap<Buffer, number>
  /** Bytes of each slot: those of its largest buffer. */
  readonly bytes: readonly number[]
}

/** Steps from the one that writes a buffer to the last one that reads it. */
interface Life {
  readonly from: number
  to: number
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** Returns the size of a buffer in an arena or as a slot, in bytes. */
export function bytesOf(buffer: Buffer): number {
  return align(buffer.size * (buffer.dtype === 'u8' ? 1 : 4))
}

/**
 * Gives buffers whose lifetimes do not meet the same memory: the largest first, each at the lowest
 * place that is free for as long as it lives. A buffer lives from the step that writes it to the
 * last step that reads it; inputs from the start, outputs to the end.
 */
export function plan(program: Program): Plan {
  const placed: { at: number; end: number; life: Life }[] = []
  const offsets = new Map<Buffer, number>()
  let bytes = 0
  for (const [buffer, life] of livesOf(program)) {
    const size = bytesOf(buffer)
    let at = 0
    for (const other of placed) {
      if (!meet(other.life, life) || other.end <= at) continue
      if (other.at >= at + size) break
      at = other.end
    }
    offsets.set(buffer, at)
    placed.push({ at, end: at + size, life })
    placed.sort((one, other) => one.at - other.at)
    bytes = Math.max(bytes, at + size)
  }
  return { offsets, bytes }
}

/**
 * The same for memory that cannot be one piece: the largest buffer first, each in the first slot
 * that is free for as long as it lives. A step never reads and writes the same slot.
 */
export function planSlots(program: Program): Slots {
  const slots: { bytes: number; lives: Life[] }[] = []
  const of = new Map<Buffer, number>()
  for (const [buffer, life] of livesOf(program)) {
    let index = slots.findIndex(({ lives }) => !lives.some((other) => meet(other, life)))
    if (index < 0) index = slots.push({ bytes: bytesOf(buffer), lives: [] }) - 1
    slots[index]!.lives.push(life)
    of.set(buffer, index)
  }
  return { of, bytes: slots.map(({ bytes }) => bytes) }
}

const meet = (one: Life, other: Life): boolean => one.from <= other.to && other.from <= one.to

/** The life of every buffer, the largest first. */
function livesOf(program: Program): [Buffer, Life][] {
  const lives = new Map<Buffer, Life>()
  const extend = (buffer: Buffer, step: number) => {
    const life = lives.get(buffer)
    if (life) life.to = Math.max(life.to, step)
    else lives.set(buffer, { from: step, to: step })
  }
  for (const input of Object.values(program.inputs)) extend(input.buffer, -1)
  program.steps.forEach((step, index) => {
    for (const input of inputsOf(step)) extend(input.buffer, index)
    for (const output of outputsOf(step)) extend(output.buffer, index)
  })
  for (const output of Object.values(program.outputs)) extend(output.buffer, program.steps.length)
  return [...lives].sort(([one], [other]) => bytesOf(other) - bytesOf(one))
}
