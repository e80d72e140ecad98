// node examples/motion/run.mjs <train | evaluate | scratch | pretrain> [--option value]…: bundles a
// script of this folder and runs it. Build the package first.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const [name, ...args] = process.argv.slice(2)
const path = (file) => fileURLToPath(new URL(file, import.meta.url))
const outfile = path(`../../build/motion/${name}.mjs`)
await build({
  entryPoints: [path(`${name}.ts`)],
  outfile,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  platform: 'node',
  packages: 'external',
  loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
  logLevel: 'error',
})
const child = spawn(process.execPath, [outfile, ...args], { stdio: 'inherit' })
child.on('exit', (code) => {
  process.exitCode = code ?? 1
})
