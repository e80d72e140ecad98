import { checkArray, describe, type NdArray } from '../array.ts'
import { TrecvitError } from '../error.ts'
import type { Frame } from '../video/frame.ts'
import { toPixels } from '../video/pixels.ts'

/** One picture: an array of the model's size, or an ImageData or decoded video frame of any size. */
export type FrameLike = NdArray | Frame | ImageDataLike

/** An ImageData of a canvas: RGBA bytes. */
export interface ImageDataLike {
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number
}

/**
 * The pixels [b, height, width, 3] of one step of b videos.
 * @throws TrecvitError if it is none of the known kinds, or an array of another size
 */
export function toInput(frame: FrameLike, b: number, [height, width]: readonly [number, number]): Uint8Array | Float32Array {
  if (frame && 'shape' in frame) {
    checkArray('frame', frame)
    const expected = [height, width, 3]
    const fits = String(frame.shape) === String([b, ...expected]) || (b === 1 && String(frame.shape) === String(expected))
    if (!fits) throw new TrecvitError(`A frame expected shape [${b === 1 ? '' : `${b},`}${expected}], got [${frame.shape}]; resize it, or pass an ImageData or a decoded frame, which are resized for you`)
    return frame.data
  }
  if (!frame || !('width' in frame)) throw new TrecvitError(`A frame expected an array { data, shape }, an ImageData or a decoded frame, got ${describe(frame)}`)
  if (b !== 1) throw new TrecvitError(`A stream of ${b} videos expected an array of shape [${[b, height, width, 3]}], got one ${describe(frame)}`)
  return toPixels('planes' in frame ? frame : fromImageData(frame), { height, width })
}

function fromImageData({ data, width, height }: ImageDataLike): Frame {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return { format: 'rgba', width, height, planes: [{ data: bytes, stride: 4 * width }], time: 0, matrix: 'rgb', fullRange: true, siting: 'center', rotation: 0 }
}
