/**
 * Decodes with WebCodecs of the browser.
 */
import { VideoSampleSink } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import { copyPlanes, hasPlanes } from '../browser/planes.ts'
import { type Decode, type Decoded, DecoderFault, firstLine, type Track } from './track.ts'

/**
 * Yields every picture of the track, in order of presentation. If the browser gives no access to
 * planes (Firefox), it converts pictures to `rgba`.
 * @throws DecoderFault if this browser cannot decode the stream, or reports damage
 */
export const decodeBrowser: Decode = (track, signal) => decode(track, signal, true)

/**
 * Same as `decodeBrowser`, for browsers that give access to planes.
 * @throws DecoderFault if this browser does not
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
        if (!isConverted && !hasPlanes(sample))
          throw new DecoderFault('this browser keeps the planes of pictures to itself', {
            progress: 'refused',
          })
        yield { ...(await copyPlanes(sample)), time: sample.timestamp }
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
