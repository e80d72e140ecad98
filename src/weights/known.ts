/**
 * The official weights that can be loaded by name. DeepMind publishes them under CC-BY 4.0.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { environment } from '../platform/platform.ts'

/** A checkpoint that can be loaded by name. */
export interface Weights {
  readonly name: string
  /** File name on its server and in the cache. */
  readonly file: string
  /** URL of the folder on the server, with a trailing slash. */
  readonly host: string
  /** Approximate size in bytes. The server reports the exact size. */
  readonly bytes: number
  readonly about: string
  readonly licence: string
}

const LICENCE = 'CC-BY 4.0'

export const known: readonly Weights[] = [
  {
    name: 'k400',
    file: 'trecvit_B_k400.npz',
    host: 'https://storage.googleapis.com/trecvit/model_checkpoints/',
    bytes: 547e6,
    about: 'TRecViT-B for the 400 actions of Kinetics-400',
    licence: LICENCE,
  },
  {
    name: 'mae',
    file: 'trecvit_B_mae.npz',
    host: 'https://storage.googleapis.com/dm-perception-test/trecvit/',
    bytes: 533e6,
    about: 'TRecViT-B, self-supervised encoder without classes',
    licence: LICENCE,
  },
]

/** Returns the weights of this name, or undefined. */
export function weightsNamed(name: string): Weights | undefined {
  return known.find((one) => one.name === name)
}

/** Returns the names as a list for a sentence. */
export function names(): string {
  return ['builtin', ...known.map(({ name }) => name)].map((name) => `"${name}"`).join(', ')
}

/**
 * Returns the URL of a file: on its own server, or in the folder of TRECVIT_MIRROR.
 * @throws TrecvitError if TRECVIT_MIRROR is not an HTTP URL
 */
export function addressOf({ host, file }: Weights): URL {
  const mirror = environment('TRECVIT_MIRROR')
  if (!mirror) return new URL(file, host)
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new TrecvitError(
      `TRECVIT_MIRROR expected an http: or https: address of a folder, got ${quote(mirror)}`,
    )
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${file}`
  return url
}

/** Returns size and licence as text: "547 MB, CC-BY 4.0". */
export function termsOf({ bytes, licence }: Weights): string {
  return `${megabytes(bytes)}, ${licence}`
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`
}
