// npm run build: src/program/ops → build/operations.ts and docs/operations.md; gpu/ →
// build/shaders.txt; assembly/lib/tile.mjs → build/tile.ts; AssemblyScript → build/*.wasm (tile.mjs
// tells why its passes are listed); the same with the operations of training → build/train;
// esbuild → build/worker.txt, then dist/*.js with all inlined; tsc → dist/*.d.ts.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { tile } from './assembly/lib/tile.mjs'

/** `node build.mjs --inference` leaves out trecvit/train, half of the time of a first build. */
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

/** A shader without its comments and spare spaces, which are half of it. */
const bare = (wgsl) =>
  wgsl
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{}();,]) ?/g, '$1')
    .trim()

/** Exports of a TypeScript file, which older Node cannot import. */
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

/** The hash of what kernels are made of, which stands beside them in build/. */
async function sourceHash(folders, generated) {
  const hash = createHash('sha256')
  const files = []
  for (const folder of folders)
    for (const file of (await readdir(folder)).sort())
      if (file.endsWith('.ts')) files.push(`${folder}/${file}`)
  files.push('build/tile.ts', ...generated, 'asconfig.json', 'package-lock.json')
  for (const file of files) hash.update(await readFile(file))
  return hash.digest('hex')
}

/** Whether the kernels of a target are up to date; then they get the date of today, for tests. */
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
  // A build that is interrupted may still write the file.
  await rm(`${outFile}.sha256`, { force: true })
  const asc = 'node_modules/assemblyscript/bin/asc.js'
  await run(asc, entry, '--target', target, '--outFile', outFile)
  await writeFile(`${outFile}.sha256`, hash)
}

/** Imports that match are left to a file that is built by itself. */
const elsewhere = (filter, path) => ({
  name: path,
  setup: (bundle) => bundle.onResolve({ filter }, () => ({ path, external: true })),
})

/** How modules are built. */
const modules = {
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  sourcemap: true,
}

await rm('dist', { recursive: true, force: true })
await mkdir('build/train', { recursive: true })
await writeFile('build/tile.ts', tile)
const { assembly, trainingAssembly, trainingEntry } = await load('scripts/assembly.ts')
await writeFile('build/operations.ts', assembly)
await writeFile('build/train/operations.ts', trainingAssembly)
await writeFile('build/train/index.ts', await trainingEntry())
const { shaders, trainingShaders } = await load('scripts/shaders.ts')
await writeFile('build/shaders.txt', await shaders())
await writeFile('build/train/shaders.txt', await trainingShaders())
await writeFile('docs/operations.md', await (await load('scripts/reference.ts')).reference())
const { targets } = JSON.parse(await readFile('asconfig.json', 'utf8'))
const inference = ['build/operations.ts']
const training = ['build/train/operations.ts', 'build/train/index.ts']
const builds = [
  {
    ...{ entry: 'assembly/index.ts', folder: 'build' },
    hash: await sourceHash(['assembly', 'assembly/lib'], inference),
  },
  {
    ...{ entry: 'build/train/index.ts', folder: 'build/train' },
    hash: await sourceHash(
      ['assembly', 'assembly/lib', 'assembly/train', 'assembly/train/lib'],
      [...inference, ...training],
    ),
  },
].slice(0, withTraining ? 2 : 1)
const stale = []
for (const { entry, folder, hash } of builds)
  for (const [target, { outFile: file }] of Object.entries(targets)) {
    const outFile = `${folder}/${file}`
    if (!(await isBuilt(outFile, hash))) stale.push({ entry, target, outFile, hash })
  }
await Promise.all([
  // Each a process, and beside them the types.
  ...stale.map(compile),
  run('node_modules/typescript/bin/tsc'),
])
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
    {
      name: 'shaders',
      setup: (bundle) =>
        bundle.onLoad({ filter: /shaders\.txt$/ }, async ({ path }) => ({
          contents: (await readFile(path, 'utf8')).split('\f').map(bare).join('\f'),
          loader: 'text',
        })),
    },
    elsewhere(/weights\/index\.ts$/, './weights/index.js'),
    // From the command line: the build of inference has no such file.
    elsewhere(/^\.\.\/train\/index\.ts$/, '../train/index.js'),
    elsewhere(/\/npz\.ts$/, './weights/npz.js'),
  ],
  external: ['node:*', ...Object.keys({ ...dependencies, ...peerDependencies })],
})
// Weights by name and .npz files, their format, are loaded on demand. They have copies of what they
// share with the core, so that they do not split it into more chunks. Only the class of errors must
// be one.
await build({
  ...modules,
  entryPoints: ['src/weights/index.ts', 'src/checkpoint/npz.ts'],
  entryNames: '[name]',
  outdir: 'dist/weights',
  plugins: [
    elsewhere(/\/(base\/error|platform\/platform)\.ts$/, '../shared.js'),
    elsewhere(/motion\.ts$/, '../motion.js'),
  ],
})
await copyFile('build/trecvit.wasm', 'dist/trecvit.wasm')
if (withTraining) await copyFile('build/train/trecvit.wasm', 'dist/train/trecvit.wasm')
await copyFile('build/worker.txt', 'dist/worker.js')
await chmod('dist/cli/index.js', 0o755)
// The optional decoder, if it was built (npm run build:decoder).
for (const file of await readdir('build/decoder').catch(() => []))
  await copyFile(`build/decoder/${file}`, `dist/${file}`)
