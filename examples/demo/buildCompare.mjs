// Bundles the compare page into dist/demo. Unlike the demo it is built from the sources, because
// benches use internals of the package. onnxruntime-web is included if bench/peers has it (npm ci
// --prefix bench/peers --ignore-scripts).
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const out = here('../../dist/demo/')

await build({
  entryPoints: [here('compare.ts'), here('compareWorker.ts'), here('compare.css')],
  outdir: out,
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  chunkNames: 'compare-[hash]',
  logLevel: 'error',
  loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
  banner: { js: '/* trecvit demo, Apache-2.0 */' },
})
await copyFile(here('compare.html'), `${out}compare.html`)
const ort = here('../../bench/peers/node_modules/onnxruntime-web/dist/')
if (existsSync(ort)) {
  await mkdir(`${out}ort`, { recursive: true })
  for (const file of [
    'ort.wasm.min.mjs',
    'ort-wasm-simd-threaded.mjs',
    'ort-wasm-simd-threaded.wasm',
  ])
    await copyFile(ort + file, `${out}ort/${file}`)
}
