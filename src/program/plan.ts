import { type Buffer, inputsOf, outputsOf, type Program } from './program.ts'

/** Offsets of the buffers of a program in one arena. */
export interface Plan {
  /** Byte offset of every buffer, a multiple of 64. */
  readonly offsets: ReadonlyMap<Buffer, number>
  /** Size of the arena in bytes. */
  readonly bytes: number
}

/** Assignment of the buffers of a program to slots. Buffers of a slot share its memory. */
export interface Slots {
  /** Slot number of each buffer. */
  readonly of: ReadonlyMap<Buffer, number>
  /** Bytes of each slot: the size of its largest buffer. */
  readonly bytes: readonly number[]
}

/** Lifetime of a buffer, in steps: from its first write to its last read. */
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
 * Assigns memory to buffers; those with disjoint lifetimes may share it. The largest buffer is
 * placed first, each at the lowest offset that is free during its lifetime. A lifetime begins with
 * the step that writes the buffer and ends with the last step that reads it. Inputs live from the
 * start, outputs to the end.
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
 * Assigns buffers to slots, for memory that cannot be one block. The largest buffer is placed
 * first, each in the first slot that is free during its lifetime. No step reads and writes the same
 * slot.
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

/** Returns the lifetime of each buffer, the largest buffer first. */
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
