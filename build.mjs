// npm run build: AssemblyScript → build/trecvit.wasm, esbuild → dist/*.js with the wasm inlined, tsc → dist/*.d.ts.
import { execFileSync } from 'node:child_process'
import { chmod, copyFile, readFile, rm } from 'node:fs/promises'
import { build } from 'esbuild'

const { dependencies, optionalDependencies } = JSON.parse(await readFile('package.json', 'utf8'))
const run = (script, ...args) => execFileSync(process.execPath, [script, ...args], { stdio: 'inherit' })

await rm('dist', { recursive: true, force: true })
run('node_modules/assemblyscript/bin/asc.js', '--target', 'simd')
await build({
  entryPoints: { index: 'src/index.ts', 'video/index': 'src/video/index.ts', 'cli/index': 'src/cli/index.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  loader: { '.wasm': 'binary', '.txt': 'text', '.wgsl': 'text' },
  external: ['node:*', 'webgpu', ...Object.keys({ ...dependencies, ...optionalDependencies })],
  sourcemap: true,
})
run('node_modules/typescript/bin/tsc')
await copyFile('build/trecvit.wasm', 'dist/trecvit.wasm')
await chmod('dist/cli/index.js', 0o755)
