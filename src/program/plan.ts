import { inputsOf, type Buffer, type Program } from './program.ts'

/** Where the buffers of a program lie in one arena. */
export interface Plan {
  /** Byte offset of every buffer, a multiple of 64. */
  readonly offsets: ReadonlyMap<Buffer, number>
  /** Bytes of the arena. */
  readonly bytes: number
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** Bytes that a buffer takes in an arena. */
export function bytesOf(buffer: Buffer): number {
  return align(buffer.size * (buffer.dtype === 'u8' ? 1 : 4))
}

/**
 * Gives buffers whose lifetimes do not meet the same memory: the largest first, each at the lowest place that is free for as long as
 * it lives. A buffer lives from the step that writes it to the last step that reads it; pixels from the start, outputs to the end.
 */
export function plan(program: Program): Plan {
  const lives = new Map<Buffer, { from: number; to: number }>()
  const extend = (buffer: Buffer, step: number) => {
    const life = lives.get(buffer)
    if (life) life.to = Math.max(life.to, step)
    else lives.set(buffer, { from: step, to: step })
  }
  extend(program.pixels.buffer, -1)
  program.steps.forEach((step, index) => {
    for (const input of inputsOf(step)) extend(input.buffer, index)
    extend(step.output.buffer, index)
  })
  for (const output of Object.values(program.outputs)) extend(output.buffer, program.steps.length)

  const placed: { at: number; end: number; from: number; to: number }[] = []
  const offsets = new Map<Buffer, number>()
  let bytes = 0
  for (const [buffer, { from, to }] of [...lives].sort(([one], [other]) => bytesOf(other) - bytesOf(one))) {
    const size = bytesOf(buffer)
    let at = 0
    for (const other of placed) {
      if (other.from > to || other.to < from || other.end <= at) continue
      if (other.at >= at + size) break
      at = other.end
    }
    offsets.set(buffer, at)
    placed.push({ at, end: at + size, from, to })
    placed.sort((one, other) => one.at - other.at)
    bytes = Math.max(bytes, at + size)
  }
  return { offsets, bytes }
}
