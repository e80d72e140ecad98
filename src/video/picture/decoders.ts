/**
 * The decoders of PNG and JPEG: those of @jsquash, in WebAssembly. JPEG decoding is not exact by
 * its standard, so every runtime uses the same decoder.
 *
 * A decode that fails leaves the stack and the memory of its instance in use, and memory never
 * shrinks. So an instance is dropped after a failure or when it has grown; the next picture gets a
 * new one.
 */
import { TrecvitError } from '../../base/error.ts'
import { builtinModule } from '../../platform/platform.ts'
import { onServer } from '../source/openMedia.ts'

/** A decoded picture: RGBA bytes. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
}

/** A decoder with memory of its own. */
interface Instance {
  /** @throws an error, after which the instance is not to be used */
  decode(bytes: Uint8Array): Pixels
  /** Number of bytes of its memory. */
  readonly size: number
}

/** Number of bytes of memory up to which an instance is kept for the next picture. */
const KEPT = 2 ** 26

/** One decoder: makes its instances, and keeps one. */
export class Decoder {
  readonly #open: () => Promise<Instance>
  #kept: Instance | undefined

  constructor(open: () => Promise<Instance>) {
    this.#open = open
  }

  /**
   * @throws TrecvitError when the decoder cannot be loaded; the next call tries again
   * @throws an error that says what is wrong with the picture
   */
  async decode(bytes: Uint8Array): Promise<Pixels> {
    const instance = this.#kept ?? (await this.#open().catch(notLoaded))
    this.#kept = undefined
    const pixels = instance.decode(bytes)
    if (instance.size <= KEPT) this.#kept = instance
    return pixels
  }
}

function notLoaded(error: Error): never {
  throw new TrecvitError(`The decoder of pictures cannot be loaded (${error.message}): try again`, {
    cause: error,
  })
}

/** The decoders by the kind of picture. */
export const decoders: Readonly<Record<'PNG' | 'JPEG', Decoder>> = {
  PNG: new Decoder(openPng),
  JPEG: new Decoder(openJpeg),
}

/** What wasm-bindgen made of the PNG decoder. */
interface PngExports {
  readonly memory: WebAssembly.Memory
  __wbindgen_malloc(size: number, align: number): number
  __wbindgen_free(at: number, size: number, align: number): void
  decode(at: number, size: number): number
}

const DAMAGE = 'the decoder reports damage'

function fail(): never {
  throw new Error(DAMAGE)
}

/** Makes an instance of the package's module; the package itself makes only one. */
async function openPng(): Promise<Instance> {
  const module = await pngModule()
  let pixels: Pixels | undefined
  const wbg: Record<string, (at: number, size: number, width: number, height: number) => void> = {}
  for (const { name } of WebAssembly.Module.imports(module)) {
    wbg[name] = () => 0
    // The rest of the name is a hash.
    if (!name.startsWith('__wbg_newwithownedu8clampedarray')) continue
    wbg[name] = (at, size, width, height) => {
      const data = new Uint8Array(memory.buffer, at >>> 0, size).slice()
      pixels = { data, width, height }
      png.__wbindgen_free(at, size, 1)
    }
  }
  wbg['__wbindgen_throw'] = fail
  const { exports } = await WebAssembly.instantiate(module, { wbg })
  const png = exports as unknown as PngExports
  const { memory } = png
  return {
    decode(bytes) {
      const at = png.__wbindgen_malloc(bytes.length, 1)
      new Uint8Array(memory.buffer).set(bytes, at >>> 0)
      try {
        png.decode(at, bytes.length)
      } catch (error) {
        throw new Error(DAMAGE, { cause: error })
      }
      const made = pixels ?? fail()
      pixels = undefined
      return made
    },
    get size() {
      return memory.buffer.byteLength
    },
  }
}

async function pngModule(): Promise<WebAssembly.Module> {
  if (onServer()) return serverModule('@jsquash/png/codec/pkg/squoosh_png_bg.wasm')
  // Bundlers find the WebAssembly by the package's own URL.
  const { default: init } = await import('@jsquash/png/codec/pkg/squoosh_png.js')
  await init()
  return (init as unknown as { readonly __wbindgen_wasm_module: WebAssembly.Module })
    .__wbindgen_wasm_module
}

/** What Emscripten made of the JPEG decoder. */
interface JpegModule {
  readonly HEAPU8: Uint8Array
  decode(bytes: Uint8Array, preserveOrientation: boolean): Pixels | null
}

type JpegFactory = (options: {
  noInitialRun: boolean
  printErr: (line: string) => void
  instantiateWasm?: Instantiate
}) => Promise<JpegModule>

async function openJpeg(): Promise<Instance> {
  const codec: { readonly default: unknown } = await import(
    '@jsquash/jpeg/codec/dec/mozjpeg_dec.js'
  )
  const factory = codec.default as JpegFactory
  const module = onServer()
    ? await serverModule('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm')
    : undefined
  let said = ''
  const decoder = await lendGlobals(() =>
    factory({
      noInitialRun: true,
      // The reason of libjpeg, which its exit code does not tell.
      printErr: (line) => (said = line),
      ...(module && { instantiateWasm: instantiator(module) }),
    }),
  )
  return {
    decode(bytes) {
      said = ''
      try {
        return lendGlobals(() => decoder.decode(bytes, false)) ?? fail()
      } catch (error) {
        const reason = said === '' || said.startsWith('Aborted') ? 'damage' : `"${said}"`
        throw new Error(`the decoder reports ${reason}`, { cause: error })
      }
    },
    get size() {
      return decoder.HEAPU8.length
    },
  }
}

type Instantiate = (
  imports: WebAssembly.Imports,
  use: (made: WebAssembly.Instance) => void,
) => object

function instantiator(module: WebAssembly.Module): Instantiate {
  return (imports, use) => {
    const instance = new WebAssembly.Instance(module, imports)
    use(instance)
    return instance.exports
  }
}

const modules = new Map<string, WebAssembly.Module>()

/** Compiles a file of a package once. */
async function serverModule(path: string): Promise<WebAssembly.Module> {
  const found = modules.get(path)
  if (found) return found
  const { createRequire } = builtinModule('node:module')!
  const { readFile } = builtinModule('node:fs/promises')!
  const module = await WebAssembly.compile(
    await readFile(createRequire(import.meta.url).resolve(path)),
  )
  modules.set(path, module)
  return module
}

/** The ImageData of servers, which have none. */
class Picture implements Pixels {
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number

  constructor(data: Uint8ClampedArray, width: number, height: number) {
    this.data = data
    this.width = width
    this.height = height
  }
}

/**
 * Runs work of the JPEG decoder, which makes its result with the global ImageData. On servers it
 * sets that and `self.location`; both are as before after the call.
 */
function lendGlobals<T>(work: () => T): T {
  if (!onServer()) return work()
  const scope = globalThis as { ImageData?: unknown }
  const names = ['ImageData', 'location']
  const before = names.map((name) => Object.getOwnPropertyDescriptor(scope, name))
  scope.ImageData ??= Picture
  try {
    return work()
  } finally {
    before.forEach((descriptor, i) => {
      if (descriptor) Object.defineProperty(scope, names[i]!, descriptor)
      else Reflect.deleteProperty(scope, names[i]!)
    })
  }
}
