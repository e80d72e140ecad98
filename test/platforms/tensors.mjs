/**
 * What a runtime makes of videos: the model's input, as one hash a clip and decoder. Through the
 * public interface alone.
 */

/**
 * A clip that ships, and an odd-sized, a rotated, a full-range and a bt709 one; VP9 is the first
 * and the odd-sized, then HEVC and Motion JPEG. FFmpeg demuxes the last two.
 */
const CLIPS = [
  'models/short.webm',
  'models/tour.mp4',
  ...[
    'odd.webm',
    'rotated.mp4',
    'full.mp4',
    'bt709.mp4',
    'full709.mp4',
    'vp8.webm',
    'hevc10.mp4',
    'mjpeg.mov',
    'mpeg4.avi',
    'h264.mpegts',
  ].map((name) => `test/media/${name}`),
]
/** A model's input. */
const SHAPE = { height: 112, width: 112 }

/**
 * @param video the package's module `trecvit/video`
 * @param read gives the bytes of a file of the repository
 * @returns for the decoder in WebAssembly and for the runtime's best: who decoded, and the SHA-256
 * of the pixels of all frames, by clip. Null where pictures came without planes, or nobody decoded
 * them
 */
export async function tensors({ openVideo, toPixels }, read) {
  const found = { wasm: {}, auto: {} }
  for (const decoder of ['wasm', 'auto']) {
    for (const clip of CLIPS) {
      // Without the module, the runtime's own.
      const options =
        decoder === 'wasm'
          ? { decoder }
          : { decoder, decoderUrl: 'http://localhost:9/nothing.wasm' }
      const opened = await openVideo(await read(clip), options).catch((error) => {
        if (decoder === 'wasm') throw error
        return null
      })
      if (opened === null) continue
      const frames = []
      for await (const frame of opened) frames.push(frame)
      if (frames[0].format === 'rgba') continue
      const pixels = frames.map((frame) => toPixels(frame, SHAPE))
      found[decoder][clip] = hex(await crypto.subtle.digest('SHA-256', concat(pixels)))
    }
  }
  return found
}

function concat(parts) {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const hex = (digest) =>
  Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
