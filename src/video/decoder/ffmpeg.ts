/**
 * Decodes with the system's ffmpeg as a child process. Its input is Matroska, its output raw
 * planes.
 */
import type { Writable } from 'node:stream'
import {
  EncodedVideoPacketSource,
  MkvOutputFormat,
  Output,
  StreamTarget,
  type VideoCodec,
} from 'mediabunny'
import { FfmpegProcess, outputArguments, writeTo } from './ffmpegProcess.ts'
import { PIXEL_FORMATS } from './pixelFormat.ts'
import { Clock, type Decoded, DecoderFault, isHidden, type Track } from './track.ts'

/** -xerror stops at the first damage. */
const ARGUMENTS: readonly string[] = [
  ...['-hide_banner', '-nostats', '-loglevel', 'level+info', '-xerror', '-noautorotate'],
  ...['-f', 'matroska', '-i', 'pipe:0', '-map', '0:v:0'],
  ...outputArguments(PIXEL_FORMATS),
]

/**
 * Yields every picture of the track, in order of presentation.
 * @throws DecoderFault if ffmpeg is missing, cannot decode the stream, or reports damage
 */
export async function* decodeFfmpeg(track: Track, signal: AbortSignal): AsyncGenerator<Decoded> {
  if (track.kind === 'mjpeg')
    throw new DecoderFault('mediabunny cannot pack Motion JPEG for ffmpeg', {
      progress: 'refused',
    })
  const clock = new Clock()
  const ffmpeg = await FfmpegProcess.start(ARGUMENTS, signal, (stdin) => feed(track, stdin, clock))
  try {
    for (let next = await ffmpeg.next(); next !== null; next = await ffmpeg.next()) {
      // ffmpeg scales pictures after a size change. The size before scaling reveals the change.
      const { width, height } = next.picture
      yield { ...next.known, width, height, planes: next.planes, time: clock.next() }
    }
  } finally {
    await ffmpeg.close()
  }
}

/**
 * Seconds added to all times, because Matroska has no negative ones. Pictures may be shown before
 * the first packet's time.
 */
const HEADROOM = 60

async function feed(track: Track, stdin: Writable, clock: Clock): Promise<void> {
  const target = new StreamTarget(
    new WritableStream({ write: ({ data }: { data: Uint8Array }) => writeTo(stdin, data) }),
  )
  const output = new Output({ format: new MkvOutputFormat({ appendOnly: true }), target })
  const source = new EncodedVideoPacketSource(track.kind as VideoCodec)
  output.addVideoTrack(source)
  await output.start()
  let shift: number | undefined
  for await (const packet of track.packets()) {
    if (!isHidden(track, packet)) clock.add(packet.timestamp)
    shift ??= HEADROOM - packet.timestamp
    await source.add(packet.clone({ timestamp: packet.timestamp + shift }), {
      decoderConfig: track.config,
    })
  }
  await output.finalize()
  stdin.end()
}
