import type { Tensor } from '../tensor.ts'
import type { Operation } from './operation.ts'

interface Patchify {
  readonly inputs: { readonly pixels: Tensor }
  readonly params: { readonly lead: number; readonly patchSize: readonly [number, number] }
}

interface Pool {
  readonly inputs: { readonly x: Tensor }
}

/**
 * out[f, lead + p] = the pixels of patch p of frame f in the order (y, x, colour); u8 values are
 * divided by 255. out[f, 0..lead−1] = 0. A patch has [py, px] pixels.
 */
export const patchify: Operation<Patchify, [pixels: Tensor, params: Patchify['params']]> = {
  inputs: { pixels: 'videos times H W 3' },
  outputs: { out: 'videos times tokens py·px·3' },
  sizes({ H, W }, { inputs: { pixels }, params: { lead, patchSize } }, fail) {
    const [py, px] = patchSize
    const gridRows = H! / py
    const gridColumns = W! / px
    const tokens = lead + gridRows * gridColumns
    if (H! % py || W! % px)
      fail(`pixels to have [b, t, H, W, 3] with H a multiple of ${py} and W of ${px}`)
    return { bytes: +(pixels.buffer.dtype === 'u8'), gridRows, gridColumns, py, px, tokens }
  },
  fields: ['bytes', 'lead', 'gridRows', 'gridColumns', 'py', 'px'],
  cpu: { units: ({ frames, gridRows }) => frames! * gridRows! },
  gpu: { fields: ['tokens'], constants: ({ sizes }) => ({ BYTES: sizes.bytes! }) },
}

/** out[f] = mean over the tokens of x[f]. */
export const pool: Operation<Pool, [x: Tensor]> = {
  inputs: { x: 'videos times n d' },
  outputs: { out: 'videos times 1 d' },
  fields: ['n', 'd'],
  cpu: { units: ({ frames }) => frames! },
}
