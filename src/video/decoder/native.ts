/**
 * Decodes with the optional npm package node-webcodecs, which runs FFmpeg in this process.
 */
import { TrecvitError } from '../../base/error.ts'
import { importOptional } from '../../platform/platform.ts'
import { frameBytes, type Plane, splitPlanes } from '../frame.ts'
import { Clock, type Decoded, DecoderFault, firstLine, isHidden, type Track } from './track.ts'

/** Types of the used parts of the package. Its own types may not be installed. */
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
 * Yields every picture of the track, in order of presentation.
 * @throws DecoderFault if the package is missing, does not support this stream, or reports damage
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

  /** Returns the next decoded picture; null if none is ready. */
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
    // In node-webcodecs 1.3.0, the decoder on a worker thread has no back-pressure (758 MB instead
    // of 187 MB for a 1080p clip) and wrong timestamps. It writes to freed memory when the process
    // ends (3 crashes in 31 runs; 0 in 40 without the thread). FFmpeg still uses its own threads,
    // so the calling thread is faster, too (63 instead of 48 frames/s).
    decoder.configure({ ...track.config, useWorkerThread: false })
    let timestamp = 0
    for await (const packet of track.packets()) {
      signal.throwIfAborted()
      if (!isHidden(track, packet)) clock.add(packet.timestamp)
      decoder.decode(
        new EncodedVideoChunk({ type: packet.type, data: packet.data, timestamp: timestamp++ }),
      )
      for (let picture = await next(); picture; picture = await next()) yield picture
      // Yields to the event loop. Reading a file in memory never does.
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
    // The package keeps a reference to itself. Without this line, each decoder leaks at least a
    // third of a megabyte.
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
 * The package returns wrong sizes for odd widths and for more than 8 bits. It copies correctly into
 * an array of the correct size.
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
