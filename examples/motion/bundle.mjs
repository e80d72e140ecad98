import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const path = (file) => fileURLToPath(new URL(file, import.meta.url))

/** Bundles a script of this folder for 'node' or for the 'browser', and returns the file's path. */
export async function bundle(name, platform) {
  const outfile = path(`../../build/motion/${name}.mjs`)
  await build({
    entryPoints: [path(`${name}.ts`)],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform,
    packages: platform === 'node' ? 'external' : 'bundle',
    loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
    logLevel: 'error',
  })
  return outfile
}
