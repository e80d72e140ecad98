/**
 * Tasks that would block the event loop too long: a picture of 8 megapixels takes 0.2 s, a JSON
 * body of 32 MB takes 0.4 s.
 */
import type { NdArray } from '../../base/array.ts'
import type { Config } from '../../model/config.ts'
import { type Frame, RGB } from '../../video/frame.ts'
import { decodeImage } from '../../video/picture/image.ts'
import { toPixels } from '../../video/pixels/pixels.ts'
import { openMedia } from '../../video/source/openMedia.ts'
import { type InferRequest, parseInfer } from './tensors.ts'

/** A frame as received from a client. */
export interface FrameTask {
  readonly bytes: Uint8Array
  /** Size of raw RGB pixels. Null for a PNG or JPEG picture. */
  readonly size: { readonly width: number; readonly height: number } | null
  /** Largest number of pixels of a picture. */
  readonly maxPixels: number
  /** Input size of the model. */
  readonly imageSize: readonly [height: number, width: number]
}

/** The body of an inference request. */
export interface ParseTask {
  readonly body: Uint8Array
  /** Value of the header JSON_LENGTH. */
  readonly jsonLength: string | undefined
  readonly config: Config
}

/** The tasks, on the calling thread or on other threads. */
export interface Tasks {
  /**
   * Returns the pixels [H, W, 3] in the input size of the model, 0..255.
   * @throws TrecvitError if the picture is damaged or too large
   */
  toModel(task: FrameTask): Promise<NdArray<Uint8Array>>
  /** @throws TrecvitError if the request is not valid */
  parse(task: ParseTask): Promise<InferRequest>
}

/** The tasks on the calling thread. */
export const tasks: Tasks = {
  async toModel({ bytes, size, maxPixels, imageSize: [height, width] }) {
    const frame = size ? rawFrame(bytes, size) : await decode(bytes, maxPixels)
    return { data: toPixels(frame, { height, width }), shape: [height, width, 3] }
  },
  async parse({ body, jsonLength, config }) {
    return parseInfer(body, jsonLength, config)
  },
}

async function decode(bytes: Uint8Array, maxPixels: number): Promise<Frame> {
  const media = { ...(await openMedia(bytes, undefined)), name: 'the frame' }
  return (await decodeImage(media, 0, maxPixels)).frame
}

function rawFrame(data: Uint8Array, { width, height }: NonNullable<FrameTask['size']>): Frame {
  const planes = [{ data, stride: 3 * width }]
  return { format: 'rgb24', width, height, planes, time: 0, rotation: 0, ...RGB }
}
