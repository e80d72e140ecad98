import type { Tensor, Weight } from '../../tensor.ts'
import { TILE } from '../launch.ts'
import type { Fail, Groups, Operation, Sizes } from '../operation.ts'

interface LinearInputGradient {
  readonly inputs: { readonly dy: Tensor; readonly add?: Tensor }
  readonly outputs: { readonly dx: Tensor }
  readonly weights: { readonly kernel: Weight }
}

interface Add {
  readonly add?: Tensor
}

interface LinearKernelGradient {
  readonly inputs: { readonly x: Tensor; readonly dy: Tensor }
  readonly outputs: { readonly dkernel: Tensor }
  readonly params: { readonly blocks: number }
}

interface Blocks {
  readonly blocks?: number
}

/** Largest number of rows in a block of linearInputGradient. */
const BLOCK_ROWS = 200
/** Largest number of columns in a band of x in linearKernelGradient. */
const BAND = 384
/** Columns per unit of work in linearKernelGradient (STRIP in its kernel of assembly/train). */
const STRIP = 32
/** Bytes of working memory for tiles with fewer columns than a panel. */
const EDGE = TILE * 32
/** Bytes of two panels of BLOCK_N rows (assembly/train/linearInputGradient.ts). */
const KERNEL_PAIR = 768 * 64
/** Bytes of two panels of BLOCK rows, and of a row of a band (LINE). */
const [PAIR, LINE] = [512 * 64, 512 * 4 + 64]

/**
 * Gradient of the input of linear or blockLinear, in each block q of columns:
 * dx[r, q·k + i] = Σ_j dy[r, q·n + j]·kernel[q, i, j] + add[r, q·k + i].
 */
export const linearInputGradient: Operation<
  LinearInputGradient,
  [dy: Tensor, kernel: string, options?: Add]
> = {
  inputs: { dy: 'rows blocks·n', add: 'rows blocks·k?' },
  weights: { kernel: 'blocks k n' },
  outputs: { dx: 'rows blocks·k' },
  sizes: (_, { inputs }) => ({ added: +!!inputs.add }),
  fields: ['frameRows', 'rows', 'k', 'n', 'blocks'],
  flops,
  cpu: {
    fields: ['rowBlocks'],
    units({ rows, blocks, k }) {
      const rowBlocks = Math.ceil(rows! / BLOCK_ROWS)
      return { units: rowBlocks * blocks! * Math.ceil(k! / 16), rowBlocks }
    },
    scratch: () => EDGE + KERNEL_PAIR,
  },
  gpu: {
    fields: ['added'],
    groups: ({ rows, blocks, k }) => tiles(rows!, k!, blocks!),
  },
}

/**
 * Gradient of the kernel of linear or blockLinear, in each block q of columns:
 * dkernel[q·k + i, j] = Σ_r x[r, q·k + i]·dy[r, q·n + j]. One block by default.
 */
export const linearKernelGradient: Operation<
  LinearKernelGradient,
  [x: Tensor, dy: Tensor, options?: Blocks]
> = {
  inputs: { x: 'rows blocks·k', dy: 'rows blocks·n' },
  outputs: { dkernel: 'blocks·k n' },
  complete: ({ blocks = 1 }) => ({ blocks }),
  // k and n follow from `blocks`, so the inputs give their products a size.
  sizes: (sizes, _, fail) => ({
    k: divide(sizes['blocks·k']!, sizes.blocks!, fail),
    n: divide(sizes['blocks·n']!, sizes.blocks!, fail),
  }),
  fields: ['frameRows', 'rows', 'k', 'n', 'blocks'],
  flops,
  cpu: {
    fields: ['bands'],
    units({ blocks, k, n }) {
      const bands = Math.ceil(k! / BAND)
      return { units: blocks! * bands * Math.ceil(n! / STRIP), bands }
    },
    scratch: () => EDGE + PAIR + (BAND + TILE) * LINE,
  },
  gpu: { groups: ({ blocks, k, n }) => tiles(k!, n!, blocks!) },
}

function flops({ rows, blocks, k, n }: Sizes): number {
  return 2 * rows! * blocks! * k! * n!
}

/** Returns the workgroups for tiles of 32 × 32 in each block. */
function tiles(rows: number, columns: number, blocks: number): Groups {
  return [Math.ceil(columns / 32), Math.ceil(rows / 32), blocks]
}

function divide(columns: number, blocks: number, fail: Fail): number {
  if (columns % blocks) fail(`${columns} columns to divide into ${blocks} blocks`)
  return columns / blocks
}
