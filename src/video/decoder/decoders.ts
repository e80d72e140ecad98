/**
 * Lists the decoders of this runtime, and chooses one.
 */
import { TrecvitError } from '../../base/error.ts'
import type { DecoderChoice } from '../choices.ts'
import { CONVERT } from '../codec/kinds.ts'
import type { Presentation } from '../container/presentation.ts'
import type { Frame } from '../frame.ts'
import { capital } from '../source/media.ts'
import { onServer } from '../source/openMedia.ts'
import { decodeBrowser, decodePlanes } from './browser.ts'
import { decodeFfmpeg } from './ffmpeg.ts'
import { decodeNative } from './native.ts'
import { type Decode, DecoderFault } from './track.ts'

/** The chosen decoder, and the URL of the WebAssembly module if it is not beside this code. */
export interface DecoderOptions {
  readonly choice: DecoderChoice
  readonly url: string | URL | undefined
}

/** A decoder that decoded the first picture. */
export interface Chosen {
  /** All frames, including the first. */
  readonly presentation: Presentation
  readonly first: Frame
  /** Name of the decoder, and why no better one was chosen. */
  readonly decoder: string
}

interface Decoder {
  readonly name: string
  load(): Promise<Decode>
}

/**
 * Returns the decoders to try, the fastest first.
 * @throws TrecvitError if the chosen decoder is not available in this runtime
 */
function candidates({ choice, url }: DecoderOptions): Decoder[] {
  const wasm: Decoder = {
    name: 'FFmpeg in WebAssembly',
    async load() {
      const { decodeWasm } = await import('./wasm.ts')
      return (track, signal) => decodeWasm(track, signal, url)
    },
  }
  if (choice === 'wasm') return [wasm]
  if (onServer()) {
    const native: Decoder = { name: 'node-webcodecs', load: async () => decodeNative }
    const ffmpeg: Decoder = { name: 'ffmpeg', load: async () => decodeFfmpeg }
    return choice === 'native' ? [native] : choice === 'ffmpeg' ? [ffmpeg] : [native, ffmpeg, wasm]
  }
  if (choice === 'ffmpeg')
    throw new TrecvitError('The decoder "ffmpeg" needs Node, Deno or Bun: use "auto" in a browser')
  const browser: Decoder = { name: 'WebCodecs', load: async () => decodeBrowser }
  return choice === 'native'
    ? [browser]
    : [{ name: 'WebCodecs', load: async () => decodePlanes }, wasm, browser]
}

/**
 * Decodes the first picture. Tries each decoder until one succeeds.
 * @param name of the video, for messages
 * @param label of its codec
 * @param present returns the frames of the video from a decoder
 * @throws TrecvitError if all decoders fail
 */
export async function chooseDecoder(
  name: string,
  label: string,
  options: DecoderOptions,
  signal: AbortSignal,
  present: (decode: Decode) => Presentation,
): Promise<Chosen> {
  const faults: DecoderFault[] = []
  for (const { name: decoder, load } of candidates(options)) {
    const presentation = present(await load())
    try {
      const first = await presentation.first()
      const reasons = new Set(faults.map(({ message }) => message))
      const note = reasons.size > 0 ? ` (${[...reasons].join('; ')})` : ''
      return { presentation, first, decoder: decoder + note }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DecoderFault)) throw error
      faults.push(error)
    }
  }
  const fault = furthest(faults)
  const advice =
    options.choice === 'wasm' && fault.progress === 'missing'
      ? 'give its address as decoderUrl; in a clone, npm run build:decoder makes it'
      : onServer() && faults.some(({ message }) => message.endsWith('not installed'))
        ? 'install ffmpeg, or npm install node-webcodecs'
        : CONVERT
  throw new TrecvitError(
    `${capital(name)} (${label}) cannot be decoded (${fault.message}): ${advice}`,
    { cause: new AggregateError(faults) },
  )
}

/** Returns the fault of the decoder that progressed furthest. It describes the video best. */
export function furthest(faults: readonly DecoderFault[]): DecoderFault {
  return (
    faults.find(({ progress }) => progress === 'decoding') ??
    faults.find(({ progress }) => progress === 'refused') ??
    faults[0]!
  )
}
