import type { Tensor, Weight } from '../tensor.ts'
import { aligned, sharesOf, TILE, tileOf, tiles } from './launch.ts'
import type { Operation, Sizes } from './operation.ts'

/** Activation f at the end of `linear`. gelu is the tanh approximation. */
export type Activation = 'none' | 'gelu' | 'tanh'

interface Linear {
  readonly inputs: { readonly x: Tensor; readonly multiply?: Tensor; readonly add?: Tensor }
  readonly weights: {
    readonly kernel: Weight
    readonly bias?: Weight
    readonly table?: Weight
    readonly scales?: Weight
  }
  readonly params: { readonly activation: Activation; readonly activated: number }
}

interface LinearOptions {
  readonly bias?: string
  readonly table?: string
  readonly activation?: Activation
  /** Number of columns, from the first, that the activation applies to; all by default. */
  readonly activated?: number
  readonly multiply?: Tensor
  readonly add?: Tensor
}

interface BlockLinear {
  readonly inputs: { readonly x: Tensor }
  readonly weights: { readonly kernel: Weight; readonly bias: Weight; readonly scales?: Weight }
}

/**
 * Largest number of rows in a block of a product: 600 KB of x. Half as many in the narrow builds,
 * and where threads share a frame and the matrix is not large.
 */
const BLOCK_ROWS = 200
/** Elements of a large matrix: 4 MB. Wide builds avoid reading it twice: memory is too slow. */
const LARGE = 1 << 20
/** Largest number of columns of x that a product uses at a time (BLOCK_K in assembly/linear.ts). */
const BLOCK_K = 768

/** Largest number of rows for the entry point `few`. With more rows a tile reads less memory. */
const FEW = 8
/** Values of `activation` in both kernels. */
const activations: Record<Activation, number> = { none: 0, gelu: 1, tanh: 2 }

/**
 * out = f(x·kernel + bias) ⊙ multiply + add + table[row mod tableRows]. f applies to columns
 * 0..activated−1 only. With `scales` [n] the kernel is scales ⊙ int8 integers, and each row of x is
 * quantised to 255 steps relative to its largest absolute value.
 */
export const linear: Operation<Linear, [x: Tensor, kernel: string, options?: LinearOptions]> = {
  inputs: { x: 'rows k', multiply: 'rows n?', add: 'rows n?' },
  weights: { kernel: '1 k n', bias: 'n?', table: 'tableRows n?' },
  outputs: { out: 'rows n' },
  complete: ({ activation = 'none', activated }, { n }) => ({
    activation,
    activated: activation === 'none' ? 0 : (activated ?? n!),
  }),
  sizes: ({ tableRows = 0 }, { inputs, weights, params }) => ({
    tableRows,
    activation: activations[params.activation],
    activated: params.activated,
    biased: +!!weights.bias,
    multiplied: +!!inputs.multiply,
    added: +!!inputs.add,
    blocks: 1,
    // A GPU sets it (backend/webgpu/fusions.ts).
    moments: 0,
  }),
  fields: ['tableRows', 'frameRows', 'rows', 'k', 'n', 'activation', 'activated'],
  flops,
  cpu: {
    pointers: ['factors', 'scales'],
    fields: ['rowBlocks'],
    units(sizes, { threads, wide }) {
      const { rows, k, n } = sizes as { rows: number; k: number; n: number }
      const tall = wide && (sharesOf(sizes, threads) === 1 || k * n > LARGE)
      const rowBlocks = Math.ceil(rows / (tall ? BLOCK_ROWS : BLOCK_ROWS / 2))
      return { units: rowBlocks * Math.ceil(n / 8), rowBlocks }
    },
    scratch: ({ k, n }) =>
      (BLOCK_ROWS + TILE) * 32 * (k! > BLOCK_K ? Math.max(2, Math.ceil(n! / 8)) : 2),
  },
  gpu: {
    fields: ['biased', 'multiplied', 'added', 'moments', 'blocks'],
    groups: (sizes) => tiles(sizes, isFew(sizes) ? 4 : 40),
    constants({ inputs: { x, multiply, add }, weights, sizes }, room) {
      const { k, n } = sizes as { k: number; n: number }
      const tile = isFew(sizes) ? { WHOLE: k % 4 === 0 } : tileOf(sizes, room)
      // Rows of packed integers are padded with zeros.
      return weights.scales
        ? { ...tile, ALIGNED: aligned([multiply, add], [n]), WHOLE: false }
        : { ...tile, ALIGNED: aligned([x, multiply, add], [k, n]) }
    },
    entry: (sizes) => (isFew(sizes) ? 'few' : 'main'),
  },
}

/**
 * out[.., q·n + j] = Σ_i x[.., q·k + i]·kernel[q, i, j] + bias[q, j]: each block q of columns has
 * its own matrix. With `scales` [blocks, n] the kernel is scales ⊙ int8 integers, and each block of
 * a row of x is quantised to 255 steps relative to its largest absolute value.
 */
export const blockLinear: Operation<BlockLinear, [x: Tensor, kernel: string, bias: string]> = {
  inputs: { x: 'rows blocks·k' },
  weights: { kernel: 'blocks k n', bias: 'n' },
  outputs: { out: 'rows blocks·n' },
  sizes(_, { inputs: { x }, weights: { scales } }, fail) {
    // Integers are stored by block, which another frame stride cannot express.
    if (scales && x.frameStride)
      fail(`all tokens of a frame with an int8 kernel, got some of "${x.buffer.name}"`)
    return {}
  },
  fields: ['frameRows', 'rows', 'k', 'n'],
  flops,
  cpu: {
    pointers: ['factors', 'scales'],
    fields: ['shareUnits', 'shares'],
    units(sizes, { threads }) {
      const shares = sharesOf(sizes, threads)
      const shareUnits = sizes.blocks! * Math.ceil(sizes.n! / 8)
      return { units: shares * shareUnits, shareUnits, shares }
    },
    scratch: () => TILE * 64,
  },
  gpu: {
    fields: ['blocks'],
    groups: tiles,
    constants({ inputs: { x }, weights, sizes }, room) {
      const tile = tileOf(sizes, room)
      return weights.scales
        ? { ...tile, ALIGNED: true, WHOLE: false }
        : { ...tile, ALIGNED: aligned([x], [sizes.k!]) }
    },
  },
}

function flops({ rows, blocks, k, n }: Sizes): number {
  return 2 * rows! * blocks! * k! * n!
}

/** Whether a stream has few rows. A batch of streams is computed as each of them alone. */
const isFew = ({ rows, streams }: Sizes): boolean => rows! / streams! <= FEW
