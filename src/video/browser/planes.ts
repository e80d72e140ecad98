/**
 * Copies the planes of a VideoFrame (WebCodecs) or a VideoSample (mediabunny).
 */
import {
  type Colour,
  checkSize,
  type Frame,
  type FrameFormat,
  planeShapes,
  RGB,
  untaggedMatrix,
} from '../frame.ts'
import type { VideoFrameLike } from './types.ts'

/** A picture without its time and colour. */
type Planes = Pick<Frame, 'format' | 'width' | 'height' | 'planes'>

/** Frame formats by the names of WebCodecs' planar formats. An alpha plane is dropped. */
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
  I420P12: 'yuv420p12',
  I422P12: 'yuv422p12',
  I444P12: 'yuv444p12',
}

/** Matrices by their names in WebCodecs. */
const MATRICES: Readonly<Record<string, Colour['matrix']>> = {
  rgb: 'rgb',
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  'bt2020-ncl': 'bt2020',
}

/** Whether the browser gives access to the planes of a frame. */
export function hasPlanes({ format }: Pick<VideoFrameLike, 'format'>): boolean {
  return PLANAR[format ?? ''] !== undefined
}

/**
 * Copies the planes of a frame. If the browser gives no access to them, copies its own conversion
 * to RGBA. Does not close the frame.
 * @throws TrecvitError if the picture is too large
 */
export async function copyPlanes(frame: VideoFrameLike): Promise<Planes> {
  const { width, height } = frame.visibleRect ?? { width: 0, height: 0 }
  checkSize('A picture of the browser', width, height)
  const planar = PLANAR[frame.format ?? '']
  if (planar === undefined) {
    const data = new Uint8Array(frame.allocationSize({ format: 'RGBA' }))
    const [layout] = await frame.copyTo(data, { format: 'RGBA' })
    const planes = [{ data: data.subarray(layout!.offset), stride: layout!.stride }]
    return { format: 'rgba', width, height, planes }
  }
  const data = new Uint8Array(frame.allocationSize())
  const layouts = await frame.copyTo(data)
  const [y, ...chroma] = layouts
    .slice(0, 3)
    .map(({ offset, stride }) => ({ data: data.subarray(offset), stride }))
  if (frame.format !== 'NV12') return { format: planar, width, height, planes: [y!, ...chroma] }
  const [, u, v] = planeShapes(planar, width, height).map(({ stride, rows }) => ({
    data: new Uint8Array(stride * rows),
    stride,
  }))
  const { data: both, stride } = chroma[0]!
  for (let row = 0; row < (height + 1) >> 1; row++) {
    for (let x = 0; x < u!.stride; x++) {
      u!.data[row * u!.stride + x] = both[row * stride + 2 * x]!
      v!.data[row * u!.stride + x] = both[row * stride + 2 * x + 1]!
    }
  }
  return { format: planar, width, height, planes: [y!, u!, v!] }
}

/**
 * Copies a frame with its tagged colour.
 * @param time seconds
 * @throws TrecvitError if the picture is too large
 */
export async function copyFrame(frame: VideoFrameLike, time: number): Promise<Frame> {
  const planes = await copyPlanes(frame)
  const { rotation = 0 } = frame as { rotation?: Frame['rotation'] }
  return { ...planes, time, rotation, ...colourOf(frame.colorSpace, planes) }
}

function colourOf({ matrix, fullRange }: VideoFrameLike['colorSpace'], planes: Planes): Colour {
  if (planes.format === 'rgba') return RGB
  const known = MATRICES[matrix ?? '']
  // Planar RGB is never subsampled. Its planes are G, B and R.
  const isRgb = known === 'rgb' && planes.format.startsWith('yuv444p')
  return {
    matrix: known && (known !== 'rgb' || isRgb) ? known : untaggedMatrix(planes.height),
    fullRange: fullRange ?? isRgb,
    siting: 'left',
  }
}
