/** Bundles the fuzz, and compiles the module that stands in for FFmpeg. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'
import { build } from 'esbuild'

/**
 * Gives one picture of 16x16 for each packet, with its index. The exports are those of
 * src/video/decoder/decoder.c.
 */
const STUB = `
  let waiting: i32 = 0, sent: i32 = 0
  const name: usize = memory.data<u8>([103, 114, 97, 121, 0])
  const picture: usize = memory.data(64, 8)
  const plane: usize = memory.data(256)
  export function _initialize(): void {}
  export function reason(code: i32): usize { return name }
  export function room(size: i32): usize {
    const at = <usize>memory.size() << 16
    return memory.grow((size + 65 + 65535) >> 16) < 0 ? 0 : at
  }
  export function start(codec: usize, at: usize, size: i32, width: i32, height: i32): i32 {
    return 0
  }
  export function send(data: usize, size: i32, index: i32): i32 {
    if (data) { waiting = 1; sent = index }
    return 0
  }
  export function receive(): i32 { return waiting-- > 0 ? 0 : (waiting = 0, 1) }
  export function pictureAt(): usize {
    store<usize>(picture, name)
    store<i32>(picture, 16, 4)
    store<i32>(picture, 16, 8)
    store<i32>(picture, sent, 12)
    store<usize>(picture, plane, 16)
    store<i32>(picture, 16, 20)
    return picture
  }`

/**
 * @param folder where the bundle goes
 * @param plugins of esbuild, for bundles with a planted fault
 * @returns the module that runs cases
 */
export async function buildFuzz(folder, plugins = []) {
  await mkdir(folder, { recursive: true })
  let wasm
  const { error, stderr } = await asc.main(
    ['stub.ts', '--outFile', 'stub.wasm', '--runtime', 'stub', '--use', 'abort='],
    {
      readFile: (file) => (file === 'stub.ts' ? STUB : null),
      writeFile: (file, contents) => void (file === 'stub.wasm' && (wasm = contents)),
    },
  )
  if (error) throw new Error(String(stderr), { cause: error })
  await writeFile(join(folder, 'stub.wasm'), wasm)
  await build({
    entryPoints: { child: fileURLToPath(new URL('child.ts', import.meta.url)) },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    packages: 'external',
    sourcemap: 'inline',
    loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
    logLevel: 'error',
    plugins,
  })
  return join(folder, 'child.mjs')
}
