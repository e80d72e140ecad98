/**
 * Decoding by the npm package node-webcodecs, where it is installed: FFmpeg inside the process.
 */
import { TrecvitError } from '../../base/error.ts'
import { importOptional } from '../../platform/platform.ts'
import { frameBytes, type Plane, splitPlanes } from '../frame.ts'
import { Clock, type Decoded, DecoderFault, firstLine, isHidden, type Track } from './track.ts'

/**
 * The few parts of the package that are used, kept apart from its types: they need not be
 * installed.
 */
interface NativeFrame {
  readonly codedWidth: number
  readonly codedHeight: number
  copyTo(into: Uint8Array): Promise<unknown>
  close(): void
}
interface NativeDecoder {
  configure(config: object): void
  decode(chunk: object): void
  flush(): Promise<void>
  close(): void
  _native?: unknown
}
interface NativeModule {
  readonly VideoDecoder: new (init: {
    output: (frame: NativeFrame) => void
    error: (error: Error) => void
  }) => NativeDecoder
  readonly EncodedVideoChunk: new (init: object) => object
}

/**
 * Every picture of the track, in order of presentation.
 * @throws DecoderFault when the package is missing, cannot do this stream, or reports damage
 */
export async function* decodeNative(track: Track, signal: AbortSignal): AsyncGenerator<Decoded> {
  const { VideoDecoder, EncodedVideoChunk } = await load()
  const { format } = track.codec
  if (format === null)
    throw new DecoderFault(`node-webcodecs cannot give the planes of ${track.codec.label}`, {
      progress: 'refused',
    })
  const clock = new Clock()
  const ready: NativeFrame[] = []
  let failure: Error | null = null
  const decoder = new VideoDecoder({
    output: (frame) => ready.push(frame),
    error: (error) => (failure ??= error),
  })

  /** The next picture that came out; null when there is none yet. */
  const next = async (): Promise<Decoded | null> => {
    const frame = ready.shift()
    if (frame === undefined) {
      if (failure !== null) throw reported(failure)
      return null
    }
    signal.throwIfAborted()
    const { codedWidth: width, codedHeight: height } = frame
    const planes = await copyPlanes(frame, format)
    return { format, width, height, planes, time: clock.next() }
  }

  try {
    // On the calling thread: in node-webcodecs 1.3.0 the decoder with a thread of its own has no
    // back-pressure (758 MB instead of 187 for a 1080p clip), gives no true timestamps, and writes
    // to freed memory when the process ends (3 crashes in 31 runs, now 0 in 40). FFmpeg's own
    // threads work ahead all the same: this way is faster, too (63 instead of 48 frames a second).
    decoder.configure({ ...track.config, useWorkerThread: false })
    let timestamp = 0
    for await (const packet of track.packets()) {
      signal.throwIfAborted()
      if (!isHidden(track, packet)) clock.add(packet.timestamp)
      decoder.decode(
        new EncodedVideoChunk({ type: packet.type, data: packet.data, timestamp: timestamp++ }),
      )
      for (let picture = await next(); picture; picture = await next()) yield picture
      // A file in memory gives packets without ever leaving the thread to others.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await decoder.flush()
    for (let picture = await next(); picture; picture = await next()) yield picture
  } catch (error) {
    if (signal.aborted || error instanceof TrecvitError) throw error
    throw reported(error as Error)
  } finally {
    for (const frame of ready) frame.close()
    decoder.close()
    // The package holds on to itself: without this cut, each decoder leaves a third of a megabyte
    // or more behind for ever.
    delete decoder._native
  }
}

async function load(): Promise<NativeModule> {
  const loaded = (await importOptional('node-webcodecs').catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND'
    throw new DecoderFault(
      missing
        ? 'node-webcodecs is not installed'
        : `node-webcodecs cannot be loaded (${firstLine(error.message)})`,
      { progress: 'missing', cause: error },
    )
  })) as NativeModule & { readonly default?: NativeModule }
  return loaded.default ?? loaded
}

function reported(error: Error): DecoderFault {
  return new DecoderFault(`node-webcodecs reports ${firstLine(error.message)}`, { cause: error })
}

/**
 * The package's own sizes are wrong for odd widths and for more than 8 bits, but it copies right
 * into an array of the right size.
 */
async function copyPlanes(
  frame: NativeFrame,
  format: NonNullable<Track['codec']['format']>,
): Promise<Plane[]> {
  try {
    const data = new Uint8Array(frameBytes(format, frame.codedWidth, frame.codedHeight))
    await frame.copyTo(data)
    return splitPlanes(format, frame.codedWidth, frame.codedHeight, data)
  } catch (error) {
    throw new DecoderFault(
      `node-webcodecs cannot copy ${format} planes (${firstLine((error as Error).message)})`,
      { cause: error },
    )
  } finally {
    frame.close()
  }
}
