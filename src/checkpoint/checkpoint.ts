/**
 * Reads files of named tensors, one tensor at a time, in bounded memory. No file is trusted: sizes
 * are checked before memory is allocated.
 */

import { TrecvitError } from '../base/error.ts'
import { notImported } from '../base/notImported.ts'
import { checkOptions } from '../base/options.ts'
import { quote } from '../base/quote.ts'
import { openSource, type SourceLike } from './openSource.ts'
import type { Reader } from './reader.ts'
import { MAX_HEADER, openSafetensors } from './safetensors.ts'
import type { Source } from './source.ts'

/** An open checkpoint. */
export interface Checkpoint extends Reader {
  /**
   * Frees the file or the connection. Unfinished and later reads reject. May be called more than
   * once.
   */
  close(): Promise<void>
  /** Closes the checkpoint, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens an .npz or .safetensors file. The first bytes determine the format, not the name.
 * @param options.signal aborts opening and, for HTTP, every later request
 * @throws TrecvitError when the file cannot be read, has another format, or is damaged
 * @example
 * await using checkpoint = await openCheckpoint('model.safetensors')
 * for (const { name, shape, dtype } of checkpoint.tensors.values()) console.log(name, shape, dtype)
 */
export async function openCheckpoint(
  from: SourceLike,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Checkpoint> {
  checkOptions('openCheckpoint', options, { signal: 1 })
  const source = await openSource(from, options)
  try {
    return ending(await openFormat(source, options.signal), source)
  } catch (error) {
    await source.close()
    throw error
  }
}

/** Returns a checkpoint whose reads reject after `close`. */
function ending(reader: Reader, source: Source): Checkpoint {
  let closing: Promise<void> | undefined
  const closedError = (tensor: string) =>
    new TrecvitError(
      `Checkpoint ${quote(reader.name)} was closed before "${tensor}" was read; open it again`,
    )
  const close = (): Promise<void> => (closing ??= source.close())
  return {
    ...reader,
    async read(name, sink, signal) {
      if (closing) throw closedError(name)
      try {
        await reader.read(
          name,
          (values, at) => {
            if (closing) throw closedError(name)
            return sink(values, at)
          },
          signal,
        )
      } catch (error) {
        throw closing ? closedError(name) : error
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function openFormat(source: Source, signal: AbortSignal | undefined): Promise<Reader> {
  const start = new Uint8Array(Math.min(16, source.size))
  await source.read(0, start)
  const text = String.fromCharCode(...start)
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) {
    const { openNpz } = await import('./npz.ts').catch(
      notImported('The reader of .npz files', 'bundle the program, or convert to .safetensors'),
    )
    return openNpz(source, signal)
  }
  if (start.length > 8 && start[8] === 0x7b) {
    const view = new DataView(start.buffer)
    const headerBytes = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true)
    if (headerBytes <= Math.min(MAX_HEADER, source.size - 8))
      return openSafetensors(source, headerBytes)
    throw new TrecvitError(
      `Checkpoint ${quote(source.name)} says that its header has ${headerBytes} bytes, ` +
        `in a file of ${source.size}: it is cut short or damaged`,
    )
  }
  throw new TrecvitError(
    `Checkpoint ${quote(source.name)} is ${kindOf(text)}, not an .npz or .safetensors checkpoint` +
      (ONNX.test(text) ? ': give the one that it was converted from' : ''),
  )
}

/** The version of the format, then a field of the model with a length. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the first bytes of the file
const ONNX = /^\x08[\x01-\x1f][\x12\x1a\x22\x32\x3a\x42]/

/** Other formats that are passed by mistake, with the first bytes of each. */
const kinds: readonly (readonly [RegExp, string])[] = [
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the first bytes of the file
  [/^\x80[\x02-\x05]/, 'a Python pickle'],
  [ONNX, 'an ONNX file for other runtimes'],
  [/^\x93NUMPY/, 'a single .npy array'],
  [/^\x89HDF/, 'an HDF5 file'],
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the first bytes of the file
  [/^\x1f\x8b/, 'a gzip file'],
  [/^GGUF/, 'a GGUF file'],
  [/^version http/, 'a Git LFS pointer'],
  [/^\s*</, 'an HTML or XML page'],
  [/^\s*[{[]/, 'a JSON text'],
]

function kindOf(text: string): string {
  const hex = Array.from(text.slice(0, 8), (c) =>
    c.charCodeAt(0).toString(16).padStart(2, '0'),
  ).join(' ')
  return (
    kinds.find(([start]) => start.test(text))?.[1] ??
    `a file of unknown kind (it begins with ${hex})`
  )
}
