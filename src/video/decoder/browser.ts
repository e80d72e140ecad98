/**
 * Decoding by the browser's own WebCodecs.
 */
import { type VideoSample, VideoSampleSink } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import { checkSize, type FrameFormat, planeShapes } from '../frame.ts'
import { type Decode, type Decoded, DecoderFault, firstLine, type Track } from './track.ts'

/** WebCodecs' planar formats under our names; with alpha, the fourth plane stays behind. */
const PLANAR: Readonly<Record<string, FrameFormat>> = {
  I420: 'yuv420p',
  I420A: 'yuv420p',
  NV12: 'yuv420p',
  I422: 'yuv422p',
  I422A: 'yuv422p',
  I444: 'yuv444p',
  I444A: 'yuv444p',
  I420P10: 'yuv420p10',
  I422P10: 'yuv422p10',
  I444P10: 'yuv444p10',
}

/**
 * Every picture of the track, in order of presentation. Where the browser keeps its planes
 * (Firefox), pictures are `rgba`, converted by it.
 * @throws DecoderFault when this browser cannot decode the stream, or reports damage
 */
export const decodeBrowser: Decode = (track, signal) => decode(track, signal, true)

/**
 * The same from a browser that hands out planes.
 * @throws DecoderFault when it does not
 */
export const decodePlanes: Decode = (track, signal) => decode(track, signal, false)

/** @param isConverted whether pictures may be `rgba` */
async function* decode(
  track: Track,
  signal: AbortSignal,
  isConverted: boolean,
): AsyncGenerator<Decoded> {
  if (track.isChanged)
    throw new DecoderFault('this browser reads packets by itself, which have to be changed first', {
      progress: 'refused',
    })
  if (!(await track.input.canDecode()))
    throw new DecoderFault('this browser cannot decode it', { progress: 'refused' })
  try {
    for await (const sample of new VideoSampleSink(track.input).samples()) {
      try {
        signal.throwIfAborted()
        if (!isConverted && PLANAR[sample.format ?? ''] === undefined)
          throw new DecoderFault('this browser keeps the planes of pictures to itself', {
            progress: 'refused',
          })
        yield await copySample(sample)
      } finally {
        sample.close()
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof TrecvitError) throw error
    const reason = firstLine((error as Error).message)
    throw new DecoderFault(`the browser's decoder reports ${reason}`, { cause: error })
  }
}

async function copySample(sample: VideoSample): Promise<Decoded> {
  const { width, height } = sample.visibleRect
  checkSize('A picture of the browser', width, height)
  const time = sample.timestamp
  const planar = PLANAR[sample.format ?? '']
  if (planar === undefined) {
    const data = new Uint8Array(sample.allocationSize({ format: 'RGBA' }))
    const [layout] = await sample.copyTo(data, { format: 'RGBA' })
    return {
      format: 'rgba',
      width,
      height,
      planes: [{ data: data.subarray(layout!.offset), stride: layout!.stride }],
      time,
    }
  }
  const data = new Uint8Array(sample.allocationSize())
  const layouts = await sample.copyTo(data)
  if (sample.format !== 'NV12') {
    const planes = layouts
      .slice(0, 3)
      .map(({ offset, stride }) => ({ data: data.subarray(offset), stride }))
    return { format: planar, width, height, planes, time }
  }
  const [luma, chroma] = layouts
  const y = { data: data.subarray(luma!.offset), stride: luma!.stride }
  const [, u, v] = planeShapes(planar, width, height).map(({ stride, rows }) => ({
    data: new Uint8Array(stride * rows),
    stride,
  }))
  for (let row = 0; row < (height + 1) >> 1; row++) {
    const from = chroma!.offset + row * chroma!.stride
    for (let x = 0; x < u!.stride; x++) {
      u!.data[row * u!.stride + x] = data[from + 2 * x]!
      v!.data[row * u!.stride + x] = data[from + 2 * x + 1]!
    }
  }
  return { format: planar, width, height, planes: [y, u!, v!], time }
}
