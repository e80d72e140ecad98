/**
 * The package as a user gets it: what is in it, what its checkers say, what the core weighs and
 * what it brings along. Needs a build with the decoder (npm run build:decoder), and npm install
 * --prefix test/platforms.
 *
 *     node test/platforms/package.mjs
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { installPacked } from './packed.mjs'
import { programs } from './runtimes.mjs'

/**
 * Bytes, gzipped, of all JavaScript of the core, and of each build of the kernels: WebAssembly and
 * shaders, which it holds as texts.
 */
const CORE = 45 * 1024
const KERNELS = 60 * 1024

const { folder, packed } = installPacked()
const home = join(folder, 'node_modules/trecvit')
const run = (...args) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })

const paths = execFileSync('tar', ['-tzf', packed], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map((path) => path.replace('package/', ''))
for (const path of [
  'dist/index.js',
  'dist/index.d.ts',
  'dist/video/index.js',
  'dist/trecvit.wasm',
  'dist/worker.js',
  'dist/decoder.wasm',
  'dist/decoder.LICENSE',
  'dist/decoder.NOTICE',
  'dist/cli/index.js',
  'dist/cli/serveWorker.js',
  'models/tour.mp4',
  'LICENSE',
  'README.md',
])
  assert(paths.includes(path), `${path} is not in the package`)
assert(
  !paths.some((path) => /^(src|test|bench|assembly|build)\//.test(path)),
  'sources or tests are in the package',
)
console.log(`packed ${(readFileSync(packed).length / 1e6).toFixed(2)} MB, ${paths.length} files`)

const { messages, pkg } = await publint({ pkgDir: home, strict: true })
assert.deepEqual(
  messages.map((message) => formatMessage(message, pkg)),
  [],
  'publint',
)
console.log('publint: nothing to say')
// The three are files to be served, and no modules.
run(
  fileURLToPath(new URL('node_modules/@arethetypeswrong/cli/dist/index.js', import.meta.url)),
  packed,
  '--profile',
  'esm-only',
  '--no-emoji',
  '--exclude-entrypoints',
  'trecvit.wasm',
  'worker.js',
  'decoder.wasm',
)
console.log('are the types wrong: no')

// What comes with the core alone, as a bundler sees it.
writeFileSync(join(folder, 'core.js'), "export { TRecViT } from 'trecvit'")
const { outputFiles, metafile } = await build({
  entryPoints: [join(folder, 'core.js')],
  outdir: join(folder, 'out'),
  absWorkingDir: folder,
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  write: false,
  metafile: true,
  logLevel: 'error',
})
const outputs = Object.entries(metafile.outputs).map(([path, { inputs, imports }]) => ({
  path,
  inputs: Object.keys(inputs),
  imports,
  text: outputFiles.find((file) => file.path.endsWith(path)).text,
}))
const foreign = (path) =>
  /node_modules\/(?!trecvit\/)|dist\/(cli|video|weights)\/|dist\/(motion|kinetics400)/.test(path)
/**
 * Files that come with the entry: at first, or ever short of video, models that are loaded by
 * name and the list of labels.
 */
function reached(kinds) {
  const found = new Set()
  const follow = (path) => {
    const output = outputs.find((one) => one.path === path)
    if (found.has(output) || (kinds.includes('dynamic-import') && output.inputs.some(foreign)))
      return
    found.add(output)
    for (const { path: next, kind } of output.imports) if (kinds.includes(kind)) follow(next)
  }
  follow('out/core.js')
  return [...found]
}
const first = reached(['import-statement'])
for (const { path, inputs } of first)
  assert(
    !inputs.some(foreign),
    `${path} is loaded with the core and holds ${inputs.filter(foreign)}`,
  )
assert(
  !outputs.some(({ inputs }) => inputs.some((input) => /dist\/cli\//.test(input))),
  'the core brings the command line along',
)
/** Texts in the code that are WebAssembly, or WGSL. */
const kernels = /"AGFzb[\w+/=]*"|"(?:[^"\\]|\\.)*@group\(\d(?:[^"\\]|\\.)*"|"[^"]*\bfn \w+\([^"]*"/g
const weightOf = (outputs) =>
  gzipSync(outputs.map(({ text }) => text.replace(kernels, '""')).join('\n')).length
const core = reached(['import-statement', 'dynamic-import'])
const weight = weightOf(core)
const shaders = gzipSync(
  core
    .flatMap(({ text }) => text.match(kernels) ?? [])
    .filter((text) => !text.startsWith('"AGFzb'))
    .join('\n'),
).length
console.log(
  `core: ${weight} bytes of JavaScript gzipped, ${weightOf(first)} of them at first; ` +
    `${shaders} bytes of shaders`,
)
assert(
  shaders > 0 && shaders <= KERNELS,
  `the shaders expected at most ${KERNELS} bytes gzipped, got ${shaders}`,
)
assert(weight <= CORE, `the core expected at most ${CORE} bytes gzipped, got ${weight}`)
for (const { path, text } of core) {
  for (const [kernel] of text.matchAll(/(?<=")AGFzb[\w+/=]*(?=")/g)) {
    const bytes = gzipSync(Buffer.from(kernel, 'base64')).length
    console.log(`kernels in ${path}: ${bytes} bytes gzipped`)
    assert(
      bytes <= KERNELS,
      `the kernels in ${path} expected at most ${KERNELS} bytes gzipped, got ${bytes}`,
    )
  }
}

// With its dependencies beside it the command line runs, from another folder; the core runs without
// any of them.
assert(
  JSON.parse(run(join(home, 'dist/cli/index.js'), 'classify', '--json', '--frames', '8')).top[0]
    .label,
)
writeFileSync(
  join(folder, 'deno.ts'),
  `
  import { TRecViT } from 'npm:trecvit'
  import { openVideo } from 'npm:trecvit/video'
  const model = await TRecViT.load('builtin', { device: 'wasm' })
  const clip = 'node_modules/trecvit/models/tour.mp4'
  const { top } = await model.classify(await openVideo(clip, { decoder: 'wasm' }))
  if (!top[0].label) throw new Error('no label')
  await model.dispose()`,
)
const [deno, ...flags] = programs['Deno']
execFileSync(deno, [...flags, '--node-modules-dir=manual', 'deno.ts'], {
  cwd: folder,
  stdio: 'pipe',
})
console.log('Deno runs it by its npm: specifier')
renameSync(join(folder, 'node_modules'), join(folder, 'all'))
execFileSync('mkdir', [join(folder, 'node_modules')])
renameSync(join(folder, 'all/trecvit'), home)
writeFileSync(
  join(folder, 'alone.js'),
  `
  import { TRecViT } from 'trecvit'
  const model = await TRecViT.load('builtin')
  const black = { data: new Uint8Array(96 * 96 * 3), shape: [96, 96, 3] }
  const { top } = await model.stream().push(black)
  if (!top[0].label) throw new Error('no label')
  await model.dispose()`,
)
run(join(folder, 'alone.js'))
console.log('the core runs without dependencies')
