/**
 * Loads decoder.wasm once and provides its imports.
 */
import { builtinModule } from '../../platform/platform.ts'
import { DecoderFault, firstLine } from './track.ts'

/** Longest address in a message, in characters. */
const LONGEST_ADDRESS = 80

const modules = new Map<string, Promise<WebAssembly.Module>>()

/**
 * Fetches and compiles the module, once for each URL.
 * @param url of the module; default: beside this code
 * @throws DecoderFault if it is missing
 */
export function wasmModule(url?: string | URL): Promise<WebAssembly.Module> {
  const base = url === undefined ? import.meta.url : globalThis.location?.href
  const { href, protocol } = new URL(url ?? 'decoder.wasm', base)
  let found = modules.get(href)
  if (found === undefined) {
    found = bytesAt(href, protocol).then((bytes) => WebAssembly.compile(bytes))
    modules.set(href, found)
    found.catch(() => modules.delete(href))
  }
  return found.catch((error: Error) => {
    const address = href.replace(/[?#].*/, '')
    const place = address.length > LONGEST_ADDRESS ? `…${address.slice(-LONGEST_ADDRESS)}` : address
    const reason = firstLine(error.message.split(',')[0]!)
    throw new DecoderFault(`there is no decoder.wasm at ${place} (${reason})`, {
      progress: 'missing',
      cause: error,
    })
  })
}

async function bytesAt(href: string, protocol: string): Promise<Uint8Array<ArrayBuffer>> {
  const fs = protocol === 'file:' ? builtinModule('node:fs/promises') : undefined
  if (fs !== undefined) return new Uint8Array(await fs.readFile(new URL(href)))
  const response = await fetch(href)
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/**
 * Returns the imports of the module. FFmpeg links system functions that are never needed here. Each
 * returns an error.
 * @param read copies bytes of the file into the module
 */
export function hostOf(
  module: WebAssembly.Module,
  read: (at: number, into: number, size: number) => number = () => -1,
): WebAssembly.Imports {
  const host: Record<string, Record<string, (...numbers: number[]) => number>> = {}
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    if (kind === 'function') (host[from] ??= {})[name] = () => NOT_THERE
  ;(host['host'] ??= {})['read'] = read as (...numbers: number[]) => number
  return host
}

/** WASI's ENOSYS. */
const NOT_THERE = 52
