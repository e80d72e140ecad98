/**
 * The PNG and JPEG decoders of @jsquash, in WebAssembly. A failed decode leaves their stack and memory
 * in use: after about a thousand damaged pictures they would fail for every picture. So each failure
 * ends an instance, and the next picture gets a new one.
 */
import { builtinModule } from '../platform/platform.ts'
import { onServer } from './media.ts'

/** RGBA, 8 bits a sample. */
export type Pixels = Pick<ImageData, 'data' | 'width' | 'height'>

/** A running decoder. Throws an Error whose message is a clause. */
type Decode = (bytes: ArrayBuffer) => Pixels | Promise<Pixels>

/** Bytes of memory beyond which an instance is not kept: it never gives any back. */
const MOST_MEMORY = 2 ** 26

let png: Promise<Decode> | undefined
let pngModule: Promise<WebAssembly.Module> | undefined
let jpeg: Promise<Decode> | undefined
let jpegModule: Promise<WebAssembly.Module | undefined> | undefined

/**
 * Decodes a PNG.
 * @throws Error that says in a clause what is wrong
 */
export async function decodePng(bytes: ArrayBuffer): Promise<Pixels> {
  pngModule ??= loadPng()
  pngModule.catch(() => (pngModule = undefined))
  png ??= pngModule.then(startPng)
  png.catch(() => (png = undefined))
  return (await png)(bytes)
}

/**
 * Decodes a JPEG.
 * @throws Error that says in a clause what is wrong
 */
export async function decodeJpeg(bytes: ArrayBuffer): Promise<Pixels> {
  jpegModule ??= wasmOf('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm')
  jpegModule.catch(() => (jpegModule = undefined))
  jpeg ??= jpegModule.then(startJpeg)
  jpeg.catch(() => (jpeg = undefined))
  return (await jpeg)(bytes)
}

async function loadPng(): Promise<WebAssembly.Module> {
  const module = await wasmOf('@jsquash/png/codec/pkg/squoosh_png_bg.wasm')
  if (module !== undefined) return module
  const { default: start } = await import('@jsquash/png/codec/pkg/squoosh_png.js')
  await start()
  return (start as unknown as { __wbindgen_wasm_module: WebAssembly.Module }).__wbindgen_wasm_module
}

interface PngExports {
  readonly memory: WebAssembly.Memory
  readonly __wbindgen_malloc: (size: number, align: number) => number
  readonly __wbindgen_free: (at: number, size: number, align: number) => void
  readonly decode: (at: number, size: number) => number
}

/** The package itself starts its module only once. */
async function startPng(module: WebAssembly.Module): Promise<Decode> {
  let pixels: Pixels | undefined
  const host: Record<string, (...numbers: number[]) => number> = {}
  for (const { name } of WebAssembly.Module.imports(module)) {
    host[name] = () => 0
    if (name === '__wbindgen_throw') host[name] = () => fail()
    if (!name.startsWith('__wbg_newwithownedu8clampedarray')) continue
    host[name] = (at, size, width, height) => {
      pixels = { data: new Uint8ClampedArray(memory.buffer, at! >>> 0, size!).slice(), width: width! >>> 0, height: height! >>> 0 }
      free(at!, size!, 1)
      return 0
    }
  }
  const { exports } = await WebAssembly.instantiate(module, { wbg: host })
  const { memory, decode, __wbindgen_malloc: allocate, __wbindgen_free: free } = exports as unknown as PngExports
  return (bytes) => {
    try {
      const at = allocate(bytes.byteLength, 1)
      new Uint8Array(memory.buffer).set(new Uint8Array(bytes), at >>> 0)
      decode(at, bytes.byteLength)
      if (memory.buffer.byteLength > MOST_MEMORY) png = undefined
      return pixels ?? fail()
    } catch (error) {
      png = undefined
      throw error instanceof WebAssembly.RuntimeError ? new Error(DAMAGE, { cause: error }) : error
    } finally {
      pixels = undefined
    }
  }
}

async function startJpeg(module: WebAssembly.Module | undefined): Promise<Decode> {
  const { default: decode, init } = await import('@jsquash/jpeg/decode.js')
  let said = ''
  // Its types leave out the first parameter. What it prints would stand on the console.
  const start = init as unknown as (module: WebAssembly.Module | undefined, options: { printErr(line: string): void }) => Promise<void>
  await start(module, { printErr: (line) => (said = line) })
  return async (bytes) => {
    said = ''
    try {
      return await decode(bytes)
    } catch (error) {
      jpeg = undefined
      throw new Error(said === '' || said.startsWith('Aborted') ? DAMAGE : `${DAMAGE}, "${said}"`, { cause: error })
    }
  }
}

const DAMAGE = 'the decoder reports damage'

function fail(): never {
  throw new Error(DAMAGE)
}

/** In browsers the packages fetch their WebAssembly themselves: undefined. */
async function wasmOf(path: string): Promise<WebAssembly.Module | undefined> {
  if (!onServer()) return undefined
  const { createRequire } = builtinModule('node:module')!
  const { readFile } = builtinModule('node:fs/promises')!
  return WebAssembly.compile(await readFile(createRequire(import.meta.url).resolve(path)))
}
