/**
 * Frames of a MediaStreamTrack, or of a playing `<video>`.
 */
import { describe } from '../../base/array.ts'
import { messageOf, TrecvitError } from '../../base/error.ts'
import { checkOptions } from '../../base/options.ts'
import { classOf } from '../../base/realm.ts'
import { type Live, LiveFrames, type LiveOptions, type Sink, type Waiting } from './live.ts'
import { frameOf } from './pictures.ts'
import { copyFrame } from './planes.ts'
import type { Track, VideoElement } from './types.ts'

/** MediaStreamTrackProcessor: Chromium has it in pages, lib.dom lacks it. */
type Processor = new (init: {
  track: MediaStreamTrack
}) => { readonly readable: ReadableStream<VideoFrame> }

/**
 * Returns the frames of a camera, screen or canvas track, or of a `<video>`, as they arrive. A slow
 * loop gets the newest frame; skipped frames are counted in `dropped`. The track still belongs to
 * the caller: it is not stopped.
 *
 * Times are seconds since the first frame; for a `<video>`, its own media time.
 * @throws TrecvitError if the source is neither a track nor a `<video>`, has no pictures, or an
 * option is wrong
 * @throws the reason of the signal if it is aborted, also in the loop
 * @example
 * const shared = await navigator.mediaDevices.getDisplayMedia({ video: true })
 * for await (const answer of stream.run(fromTrack(shared.getVideoTracks()[0]))) { }
 */
export function fromTrack(source: Track | VideoElement, options: LiveOptions = {}): Live {
  checkOptions('fromTrack', options, { queue: 1, signal: 1 })
  return liveOf(source, options)
}

/** @param free called once, at the end */
export function liveOf(
  source: Track | VideoElement,
  options: LiveOptions,
  free?: () => void,
): LiveFrames {
  const kind = classOf(source)
  if (kind === 'HTMLVideoElement')
    return new LiveFrames((sink) => openVideo(source as VideoElement, sink), options, free)
  if (!/^MediaStreamTrack$|^CanvasCaptureMediaStreamTrack$/.test(kind))
    throw new TrecvitError(`A MediaStreamTrack or a <video> was expected, got ${describe(source)}`)
  const track = source as MediaStreamTrack
  if (track.kind !== 'video')
    throw new TrecvitError(`The track expected pictures, got ${track.kind}: use getVideoTracks()`)
  return new LiveFrames((sink) => openTrack(track, sink), options, free)
}

function openTrack(track: MediaStreamTrack, sink: Sink): () => void {
  const { MediaStreamTrackProcessor: Processor } = globalThis as {
    MediaStreamTrackProcessor?: Processor
  }
  return Processor ? process(new Processor({ track }), sink) : openByElement(track, sink)
}

/** Reads every frame, so that the camera never runs out of buffers and each frame is counted. */
function process({ readable }: InstanceType<Processor>, sink: Sink): () => void {
  const reader = readable.getReader()
  let first: number | undefined
  const pump = async (): Promise<void> => {
    for (;;) {
      const { done, value: frame } = await reader.read()
      if (done) return sink.end()
      first ??= frame.timestamp
      sink.offer(waiting(frame, (frame.timestamp - first) / 1e6))
    }
  }
  pump().catch((error: unknown) => sink.end(failed(error)))
  return () => void reader.cancel().catch(() => {})
}

/** Reads the track by a hidden `<video>`. */
function openByElement(track: MediaStreamTrack, sink: Sink): () => void {
  const video = document.createElement('video')
  video.muted = true
  video.playsInline = true
  video.srcObject = new MediaStream([track])
  const end = (): void => sink.end()
  track.addEventListener('ended', end, { once: true })
  const stop = openVideo(video, sink, true)
  if (track.readyState === 'ended') end()
  // Some browsers do not autoplay an element outside the page.
  else video.play().catch((error: unknown) => sink.end(failed(error)))
  return () => {
    track.removeEventListener('ended', end)
    stop()
    video.srcObject = null
  }
}

/** @param fromZero whether times begin at 0 */
function openVideo(video: VideoElement, sink: Sink, fromZero = false): () => void {
  let handle = 0
  let first: number | undefined
  let position: number | undefined
  let presented: number | undefined
  const take = (now: number, metadata: VideoFrameCallbackMetadata): void => {
    handle = video.requestVideoFrameCallback(take)
    first ??= now
    const missed = metadata.presentedFrames - (presented ?? metadata.presentedFrames - 1) - 1
    presented = metadata.presentedFrames
    // Firefox presents the first picture of a file twice.
    if (!fromZero && metadata.mediaTime === position) return
    position = metadata.mediaTime
    sink.miss(missed)
    const time = fromZero ? (now - first) / 1000 : metadata.mediaTime
    try {
      sink.offer(
        typeof VideoFrame === 'undefined'
          ? { copy: async () => ({ ...(await frameOf(video)), time }), close: () => {} }
          : waiting(new VideoFrame(video, { timestamp: 0 }), time),
      )
    } catch (error) {
      sink.end(failed(error))
    }
  }
  const end = (): void => sink.end()
  const fail = (): void => sink.end(failed(video.error))
  if (!video.requestVideoFrameCallback)
    throw new TrecvitError('This browser lacks requestVideoFrameCallback: use a newer one')
  handle = video.requestVideoFrameCallback(take)
  video.addEventListener('ended', end, { once: true })
  video.addEventListener('error', fail, { once: true })
  if (video.ended) end()
  return () => {
    video.cancelVideoFrameCallback(handle)
    video.removeEventListener('ended', end)
    video.removeEventListener('error', fail)
  }
}

function waiting(frame: VideoFrame, time: number): Waiting {
  return { copy: () => copyFrame(frame, time), close: () => frame.close() }
}

function failed(cause: unknown): TrecvitError {
  const why =
    cause instanceof Error || cause instanceof MediaError ? cause.message : messageOf(cause)
  return new TrecvitError(`The frames of the live source cannot be read (${why})`, { cause })
}
