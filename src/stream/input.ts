import { checkArray, checkPixels, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { asBytes } from '../base/realm.ts'
import { checkSize, type Frame, RGB } from '../video/frame.ts'
import { toPixels } from '../video/pixels/pixels.ts'

/**
 * One picture: an array of the model's size, or an ImageData or decoded video frame of any size.
 */
export type FrameLike = NdArray | Frame | ImageDataLike

/** An ImageData of a canvas: RGBA bytes. */
export interface ImageDataLike {
  /** RGBA, 4·width·height bytes. */
  readonly data: Uint8ClampedArray
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
}

/**
 * Returns the pixels [b, height, width, 3] of one step of b videos.
 * @throws TrecvitError if the frame is none of the known kinds, or an array of another size or with
 *   float32 values outside 0..1
 */
export function toInput(
  frame: FrameLike,
  b: number,
  [height, width]: readonly [number, number],
): Uint8Array | Float32Array {
  if (frame === null || typeof frame !== 'object' || !('shape' in frame || 'width' in frame)) {
    throw new TrecvitError(
      'A frame expected an array { data, shape }, an ImageData or a decoded frame, ' +
        `got ${describe(frame)}`,
    )
  }
  if ('shape' in frame) {
    const pixels = checkArray('frame', frame)
    const expected = [height, width, 3]
    const fits =
      String(frame.shape) === String([b, ...expected]) ||
      (b === 1 && String(frame.shape) === String(expected))
    if (!fits)
      throw new TrecvitError(
        `A frame expected shape [${b === 1 ? '' : `${b},`}${expected}], got [${frame.shape}]; ` +
          'resize it, or pass an ImageData or a decoded frame',
      )
    checkPixels('frame', pixels)
    return pixels
  }
  if (b !== 1)
    throw new TrecvitError(
      `A stream of ${b} videos expected an array of shape [${[b, height, width, 3]}], ` +
        `got one ${describe(frame)}`,
    )
  return toPixels('planes' in frame ? frame : fromImageData(frame), { height, width })
}

function fromImageData({ data: given, width, height }: ImageDataLike): Frame {
  const data = asBytes(given)
  // A canvas in float16 gives a Float16Array.
  if (!data)
    throw new TrecvitError(
      `An ImageData expected bytes in a Uint8ClampedArray, got ${describe(given)}; ` +
        'ask the canvas for "rgba-unorm8"',
    )
  checkSize('The ImageData', width, height)
  const planes = [{ data, stride: 4 * width }]
  return { format: 'rgba', width, height, planes, time: 0, rotation: 0, ...RGB }
}
