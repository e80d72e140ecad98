// Builds the package: `npm run build`.
//
//   assembly/lib/tile.mjs   ──▶ build/tile.ts         inner loops of the products
//   src/program/ops         ──▶ build/operations.ts   argument classes and op codes of the kernels
//                               docs/operations.md
//   gpu                     ──▶ build/shaders.txt
//   assembly, build/*.ts    ──▶ build/*.wasm          compiled only if a source has changed
//   src                     ──▶ dist/*.js             wasm and shaders are inlined
//                               dist/*.d.ts           built only if a source has changed
//
// build/train has the same files with the operations of training added, build/matrix the shaders of
// matrix units, build/fused those of fused steps.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { tile } from './assembly/lib/tile.mjs'

/** `node build.mjs --inference` skips trecvit/train. A first build then takes half the time. */
const withTraining = !process.argv.includes('--inference')

const { dependencies, peerDependencies } = JSON.parse(await readFile('package.json', 'utf8'))
const run = (script, ...args) =>
  new Promise((done, fail) => {
    const ended = (code) =>
      code === 0 ? done() : fail(new Error(`${script} ${args.join(' ')} failed`))
    spawn(process.execPath, [script, ...args], { stdio: 'inherit' })
      .on('error', fail)
      .on('exit', ended)
  })

/** Returns a shader without comments and redundant spaces, which are half of its size. */
const minified = (wgsl) =>
  wgsl
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{}();,]) ?/g, '$1')
    .trim()

/** Imports a TypeScript file, which older Node cannot. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
  })
  return import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)
}

/** Returns the paths of all files in a folder, in the order of their names. */
async function filesIn(folder, recursive = false) {
  const entries = await readdir(folder, { recursive, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${parentPath}/${name}`)
    .sort()
}

/** Returns the hash of files. It is stored in build/. */
async function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(await readFile(file))
  return hash.digest('hex')
}

/** Returns the hash of the sources of kernels. */
async function sourceHash(folders, generated) {
  const files = (await Promise.all(folders.map((folder) => filesIn(folder)))).flat()
  const sources = files.filter((file) => file.endsWith('.ts'))
  return hashOf([...sources, 'build/tile.ts', ...generated, 'asconfig.json', 'package-lock.json'])
}

/**
 * Returns whether the compiled kernels of a target are up to date. Then sets their modification
 * time to now: vitest.config.ts refuses kernels that are older than a source.
 */
async function isBuilt(outFile, hash) {
  const built = await readFile(`${outFile}.sha256`, 'utf8').catch(() => '')
  if (built !== hash) return false
  const now = new Date()
  return utimes(outFile, now, now).then(
    () => true,
    () => false,
  )
}

async function compile({ entry, target, outFile, hash }) {
  // Without its hash, a file of an interrupted build is compiled again.
  await rm(`${outFile}.sha256`, { force: true })
  const asc = 'node_modules/assemblyscript/bin/asc.js'
  await run(asc, entry, '--target', target, '--outFile', outFile)
  await writeFile(`${outFile}.sha256`, hash)
}

/** Returns a plugin that replaces matching imports by an import of a file built separately. */
const external = (filter, path) => ({
  name: path,
  setup: (bundle) => bundle.onResolve({ filter }, () => ({ path, external: true })),
})

/** A plugin that minifies texts of shaders. */
const minifiedShaders = {
  name: 'shaders',
  setup: (bundle) =>
    bundle.onLoad({ filter: /shaders\.txt$|\.wgsl$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).split('\f').map(minified).join('\f'),
      loader: 'text',
    })),
}

/** Options of esbuild for modules. */
const modules = {
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  sourcemap: true,
}

for (const part of ['train', 'matrix', 'fused']) await mkdir(`build/${part}`, { recursive: true })
await writeFile('build/tile.ts', tile)
const { assembly, trainingAssembly, trainingEntry } = await load('scripts/assembly.ts')
await writeFile('build/operations.ts', assembly)
await writeFile('build/train/operations.ts', trainingAssembly)
await writeFile('build/train/index.ts', await trainingEntry())
const { shaders, matrixShaders, fusedShaders, trainingShaders } = await load('scripts/shaders.ts')
await writeFile('build/shaders.txt', await shaders())
await writeFile('build/train/shaders.txt', await trainingShaders())
await writeFile('build/matrix/shaders.txt', await matrixShaders())
await writeFile('build/fused/shaders.txt', await fusedShaders())
await writeFile('docs/operations.md', await (await load('scripts/reference.ts')).reference())
const { targets } = JSON.parse(await readFile('asconfig.json', 'utf8'))
const inference = ['build/operations.ts']
const training = [...inference, 'build/train/operations.ts', 'build/train/index.ts']
const folders = ['assembly', 'assembly/lib']
const inferenceKernels = {
  entry: 'assembly/index.ts',
  folder: 'build',
  hash: await sourceHash(folders, inference),
}
const trainingKernels = {
  entry: 'build/train/index.ts',
  folder: 'build/train',
  hash: await sourceHash([...folders, 'assembly/train', 'assembly/train/lib'], training),
}
const builds = withTraining ? [inferenceKernels, trainingKernels] : [inferenceKernels]
const stale = []
for (const { entry, folder, hash } of builds)
  for (const [target, { outFile: file }] of Object.entries(targets)) {
    const outFile = `${folder}/${file}`
    if (!(await isBuilt(outFile, hash))) stale.push({ entry, target, outFile, hash })
  }
const distHash = await hashOf([
  ...(await filesIn('src', true)),
  ...(await filesIn('build/decoder')),
  ...['build/operations.ts', 'build/shaders.txt', 'build/train/shaders.txt'],
  ...['build/matrix/shaders.txt', 'build/fused/shaders.txt'],
  ...['build.mjs', 'package.json', 'package-lock.json', 'tsconfig.json'],
  'models/motion.safetensors',
])
/** Hashes of what dist/ was built from: one file beside the kernels of each kind. */
const stamps = builds.map(({ folder, hash }) => [`${folder}/dist.sha256`, `${distHash} ${hash}`])
const kept = await Promise.all(stamps.map(([file]) => readFile(file, 'utf8').catch(() => '')))
const isCurrent = stamps.every(([, stamp], index) => stamp === kept[index])
if (isCurrent && !stale.length && existsSync('dist/index.js')) process.exit()

// Without its hash, what an interrupted build leaves is built again.
for (const folder of ['build', 'build/train']) await rm(`${folder}/dist.sha256`, { force: true })
await rm('dist', { recursive: true, force: true })
await Promise.all([...stale.map(compile), run('node_modules/typescript/bin/tsc')])
await build({
  entryPoints: ['src/backend/wasm/worker.ts'],
  outfile: 'build/worker.txt',
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
})
await build({
  ...modules,
  entryPoints: {
    index: 'src/index.ts',
    shared: 'src/shared.ts',
    files: 'src/files.ts',
    motion: 'src/motion.ts',
    ...(withTraining && { 'train/index': 'src/train/index.ts' }),
    'video/index': 'src/video/index.ts',
    'video/pictures': 'src/video/browser/pictures.ts',
    'cli/index': 'src/cli/index.ts',
    'cli/serveWorker': 'src/cli/serve/worker.ts',
    'cli/computeWorker': 'src/cli/serve/computeWorker.ts',
  },
  outdir: 'dist',
  loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text' },
  plugins: [
    minifiedShaders,
    external(/weights\/index\.ts$/, './weights/index.js'),
    // The command line imports it on demand: a build with --inference has no such file.
    external(/^\.\.\/train\/index\.ts$/, '../train/index.js'),
    external(/\/npz\.ts$/, './weights/npz.js'),
    external(/^\.\/int8\.ts$/, './weights/int8.js'),
    external(/\/matrix\.ts$/, './weights/matrix.js'),
    external(/^\.\/timer\.ts$/, './weights/timer.js'),
    external(/^\.\/streams\.ts$/, './weights/streams.js'),
    external(/^\.\/fusions\.ts$/, './weights/fusions.js'),
    external(/^\.\/weightBuffers\.ts$/, './weights/weightBuffers.js'),
  ],
  external: ['node:*', ...Object.keys({ ...dependencies, ...peerDependencies })],
})
// Weights by name and .npz files are loaded on demand. They contain copies of the code that they
// share with the core, so that the core is not split into more chunks. They share only the error
// class, for `instanceof`.
await build({
  ...modules,
  entryPoints: [
    'src/weights/index.ts',
    'src/checkpoint/npz.ts',
    'src/backend/webgpu/int8.ts',
    'src/backend/webgpu/weightBuffers.ts',
    'src/backend/webgpu/matrix.ts',
    'src/backend/webgpu/timer.ts',
    'src/backend/webgpu/streams.ts',
    'src/backend/webgpu/fusions.ts',
    'src/backend/webgpu/gpuPictures.ts',
  ],
  entryNames: '[name]',
  outdir: 'dist/weights',
  plugins: [
    minifiedShaders,
    external(/\/(base\/error|platform\/platform)\.ts$/, '../shared.js'),
    external(/motion\.ts$/, '../motion.js'),
  ],
})
// The client is one file, without chunks of the core.
await build({
  ...modules,
  splitting: false,
  entryPoints: ['src/client/index.ts'],
  outdir: 'dist/client',
})
await copyFile('build/trecvit.wasm', 'dist/trecvit.wasm')
if (withTraining) await copyFile('build/train/trecvit.wasm', 'dist/train/trecvit.wasm')
await copyFile('build/worker.txt', 'dist/worker.js')
await chmod('dist/cli/index.js', 0o755)
// The optional decoder, if it was built (npm run build:decoder).
for (const file of await readdir('build/decoder').catch(() => []))
  await copyFile(`build/decoder/${file}`, `dist/${file}`)
for (const [file, stamp] of stamps) await writeFile(file, stamp)
