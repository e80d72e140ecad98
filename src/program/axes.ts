import type { Fail } from './ops/operation.ts'
import { columnsOf, rowsOf, sizeOf, type Tensor, type Weight } from './tensor.ts'

/** Sizes by axis letter, while a step is recorded. Number parameters are added by name. */
export type Letters = Record<string, number>

const namesOf = (axes: string): string[] => axes.replace('?', '').split(' ')

/** The size of an axis: a letter, a number or a product of both. NaN if a letter has no value. */
const sideOf = (axis: string, letters: Letters): number =>
  axis.split('·').reduce((product, factor) => product * (letters[factor] ?? Number(factor)), 1)

/**
 * Compares the shape of a tensor or a weight with its axes. Sets letters that have no value yet.
 * @returns null if they match, else the expected shape
 */
export function match(axes: string, given: Tensor | Weight, letters: Letters): string | null {
  const names = namesOf(axes)
  const wanted = names.map((name) => sideOf(name, letters))
  const sides = sidesOf(given, names.length)
  const fits = wanted.every((side, axis) => Number.isNaN(side) || side === sides[axis])
  names.forEach((name, axis) => {
    if (Number.isNaN(wanted[axis])) letters[name] = sides[axis]!
  })
  if (fits && sides.length === names.length) return null
  if (names.length !== 2) return `shape [${wanted.map((side, axis) => side || names[axis])}]`
  return `${wanted[0] ? `${wanted[0]} rows of ` : ''}${wanted[1]} columns`
}

/** Returns the shape with these axes. An axis `rows` stands for the rows of the first input. */
export function shapeOf(axes: string, letters: Letters, first?: Tensor): number[] {
  const names = namesOf(axes)
  const rows = first && names[0] === 'rows' ? first.shape.slice(0, -1) : []
  return [...rows, ...names.slice(rows.length && 1).map((name) => sideOf(name, letters))]
}

/**
 * Returns the number of rows after which an input continues at its next frame. These are all rows,
 * unless an input has a frame stride.
 * @param axes of each input; if one has a frame stride, all inputs with `rows` need equal frames
 */
export function frameRowsOf(
  axes: Readonly<Record<string, string>>,
  inputs: Readonly<Record<string, Tensor>>,
  fail: Fail,
): number {
  const entries = Object.entries(inputs)
  const rows = entries[0]?.[1].shape.slice(0, -1) ?? []
  if (entries.every(([, { frameStride }]) => frameStride === undefined)) return sizeOf(rows)
  for (const [role, x] of entries)
    if (axes[role]!.startsWith('rows') && String(x.shape.slice(0, -1)) !== String(rows))
      fail(`${role} to have shape [${rows},${columnsOf(x)}], got "${x.buffer.name}" [${x.shape}]`)
  return rows[2]!
}

/** Sides of a weight (the last `count` of [blocks, rows, columns]) or of a tensor. */
function sidesOf(given: Tensor | Weight, count: number): readonly number[] {
  if ('blocks' in given) return [given.blocks, given.rows, given.columns].slice(-count)
  return count === 2 ? [rowsOf(given), columnsOf(given)] : given.shape
}
