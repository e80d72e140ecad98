/** Opens mutated files as videos. */
import { type OpenOptions, openVideo } from '../../../src/video/open.ts'
import type { Opened } from '../format.ts'
import type { Written } from '../parts.ts'
import type { Random } from '../random.ts'
import { sourceOf } from '../sources.ts'

/** Largest number of frames in a case. */
const FRAMES = 200

/** A module that replaces FFmpeg and returns a small picture for each packet. */
const stub = new URL('stub.wasm', import.meta.url)

/** Reads all frames or some of them. */
async function read(
  { data }: Written,
  random: Random,
  options: OpenOptions,
  kinds: 'files' | 'all' | 'streams' = 'files',
): Promise<Opened> {
  const leave = random.once(10) ? random.below(3) : FRAMES
  const video = await openVideo(await sourceOf(data, random, kinds), options)
  let count = 0
  let decoded = 0
  try {
    if (leave > 0)
      for await (const { planes } of video) {
        decoded = Math.max(
          decoded,
          planes.reduce((sum, plane) => sum + plane.data.length, 0),
        )
        if (++count >= leave) break
      }
  } finally {
    await video.close()
  }
  return { decoded }
}

/** Opens a file that is demuxed in JavaScript and decoded by the stub. */
export const openDemuxed = (file: Written, random: Random): Promise<Opened> =>
  read(file, random, { decoder: 'wasm', decoderUrl: stub })

/** Opens the same files as streams, which have no random access. */
export const openStreamed = (file: Written, random: Random): Promise<Opened> =>
  read(file, random, { decoder: 'wasm', decoderUrl: stub }, 'streams')

/** Opens y4m and pictures, from files and streams. */
export const openDecoderless = (file: Written, random: Random): Promise<Opened> =>
  read(file, random, { decoder: 'wasm', decoderUrl: stub }, 'all')

/** Opens a file that is decoded by FFmpeg in WebAssembly. */
export const openDecoded = (file: Written, random: Random): Promise<Opened> =>
  read(file, random, {
    decoder: 'wasm',
    decoderUrl: new URL('../decoder/decoder.wasm', import.meta.url),
  })

/** Opens files and streams that FFmpeg in WebAssembly demuxes and decodes. */
export const openByFfmpeg = (file: Written, random: Random): Promise<Opened> =>
  read(
    file,
    random,
    {
      decoder: 'wasm',
      decoderUrl: new URL('../decoder/decoder.wasm', import.meta.url),
      onError: random.pick(['error', 'stop', 'skip', 'skip'] as const),
      pixelAspect: random.pick(['ignore', 'apply'] as const),
    },
    'all',
  )

/** Opens a file with the default decoder. */
export const openAuto = (file: Written, random: Random): Promise<Opened> => read(file, random, {})
