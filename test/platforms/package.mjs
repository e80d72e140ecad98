/**
 * The package as a user gets it: what is in it, what its checkers say, what the core weighs, what
 * it brings along, and whether the command line, the decoder, the server and the page work. Needs
 * all that prepack builds, npm install --prefix test/platforms, and npm ci --prefix bench/peers
 * --ignore-scripts.
 *
 *     node test/platforms/package.mjs
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { paths } from './browsers.mjs'
import { installPacked } from './packed.mjs'
import { useProject } from './project.mjs'
import { programs } from './runtimes.mjs'

/**
 * Bytes, gzipped, of all JavaScript of the core, and of each build of the kernels: WebAssembly and
 * shaders, which it holds as texts.
 */
const CORE = 45 * 1024
const KERNELS = 60 * 1024
/** Flags of TypeScript that --strict does not contain. */
const STRICTEST = [
  '--exactOptionalPropertyTypes',
  '--noUncheckedIndexedAccess',
  '--noPropertyAccessFromIndexSignature',
  '--noImplicitOverride',
  '--noImplicitReturns',
  '--noFallthroughCasesInSwitch',
  '--noUnusedLocals',
  '--noUnusedParameters',
  '--isolatedModules',
  '--verbatimModuleSyntax',
]
/** Bytes of node_modules after `npm install trecvit`. */
const INSTALLED = 25e6

const { folder, packed } = installPacked()
const home = join(folder, 'node_modules/trecvit')
const run = (...args) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })

const files = execFileSync('tar', ['-tzf', packed], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map((path) => path.replace('package/', ''))
for (const path of [
  'dist/index.js',
  'dist/index.d.ts',
  'dist/video/index.js',
  'dist/trecvit.wasm',
  'dist/train/index.js',
  'dist/train/trecvit.wasm',
  'dist/worker.js',
  'dist/client/index.js',
  'dist/decoder.wasm',
  'dist/decoder.LICENSE',
  'dist/decoder.NOTICE',
  'dist/cli/index.js',
  'dist/cli/serveWorker.js',
  'dist/demo/index.html',
  'dist/demo/page.js',
  'dist/demo/compare.html',
  'dist/demo/teach.html',
  'dist/demo/teach.js',
  'dist/demo/teachWorker.js',
  'models/motion.safetensors',
  'models/tour.mp4',
  'LICENSE',
  'README.md',
])
  assert(files.includes(path), `${path} is not in the package`)
assert(
  !files.some((path) => /^(src|test|bench|assembly|build)\//.test(path)),
  'sources or tests are in the package',
)
console.log(`packed ${(readFileSync(packed).length / 1e6).toFixed(2)} MB, ${files.length} files`)

const { messages, pkg } = await publint({ pkgDir: home, strict: true })
assert.deepEqual(
  messages.map((message) => formatMessage(message, pkg)),
  [],
  'publint',
)
console.log('publint: nothing to say')
// The five are files to be served, and no modules.
run(
  fileURLToPath(new URL('node_modules/@arethetypeswrong/cli/dist/index.js', import.meta.url)),
  packed,
  '--profile',
  'esm-only',
  '--no-emoji',
  '--exclude-entrypoints',
  'trecvit.wasm',
  'train.wasm',
  'worker.js',
  'decoder.wasm',
  'motion.safetensors',
)
console.log('are the types wrong: no')

// The types, in the oldest and in this project's TypeScript, by all ways to find modules.
writeFileSync(
  join(folder, 'use.ts'),
  `import { TRecViT, type VideoSource } from 'trecvit'
import motion from 'trecvit/motion'
import { openVideo, sample } from 'trecvit/video'
import { type Sample, Trainer } from 'trecvit/train'
import { Client } from 'trecvit/client'
const model: TRecViT = await TRecViT.load(motion)
model.on('warning', (text) => text satisfies string)
const stream = model.stream()
for await (const { top } of stream.run(sample(await openVideo('clip.mp4'), { fps: 12.5 })))
  top[0]?.label satisfies string | null | undefined
export const run = async (video: VideoSource) => model.timeline(video)
export const frame = (shown: VideoFrame | HTMLVideoElement) => stream.push(shown)
export async function train(bytes: Uint8Array, samples: Sample[]) {
  const trainer = await Trainer.resume(bytes, { schedule: { peak: 1e-3, warmup: 10, steps: 100 } })
  for await (const { loss } of trainer.fit(samples, { epochs: 1 })) loss satisfies number
  return trainer.model()
}
export async function remote(frames: AsyncIterable<Uint8Array>) {
  const client = new Client('http://127.0.0.1:8000')
  const camera = client.openStream('builtin', { sequenceId: 'cam-7', width: 96, height: 96 })
  for await (const { frame, label } of camera.run(frames)) [frame, label] satisfies unknown[]
}
`,
)
for (const compiler of ['typescript-oldest/bin/tsc', '../../../node_modules/typescript/bin/tsc'])
  for (const [module, resolution] of [
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const { stdout, status } = spawnSync(
      process.execPath,
      [
        fileURLToPath(new URL(`node_modules/${compiler}`, import.meta.url)),
        ...['--noEmit', '--strict', '--skipLibCheck', 'false', ...STRICTEST],
        ...['--target', 'es2022', '--lib', 'es2023,dom,dom.iterable'],
        ...['--module', module, '--moduleResolution', resolution, 'use.ts'],
      ],
      { cwd: folder, encoding: 'utf8' },
    )
    assert.equal(status, 0, `${compiler} with ${module}: ${stdout}`)
  }
console.log('types compile: TypeScript 5.4 and 7')

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

// A page installs neither servers nor native decoders.
const modules = join(folder, 'node_modules')
const installed = readdirSync(modules, { recursive: true })
  .map((file) => statSync(join(modules, file)))
  .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
console.log(`npm install trecvit: ${(installed / 1e6).toFixed(1)} MB in node_modules`)
assert(installed <= INSTALLED, `node_modules expected at most ${INSTALLED} bytes, got ${installed}`)
for (const name of ['hono', 'ws', 'piscina', 'node-webcodecs', 'webgpu']) {
  assert(!readdirSync(modules).includes(name), `${name} is installed`)
}

// The command line and the decoder run from another folder. What the server lacks is installed by
// the command that its error names.
const script = join(home, 'dist/cli/index.js')
const classified = JSON.parse(
  run(script, 'classify', '--json', '--frames', '8', '--decoder', 'wasm'),
)
assert(classified.top[0].label)
assert.match(classified.video.decoder, /^FFmpeg in WebAssembly/)
const refused = spawnSync(process.execPath, [script, 'serve'], { cwd: folder, encoding: 'utf8' })
assert.equal(refused.status, 1)
const [, command] = /; run: npm install (.*)\n$/.exec(refused.stderr)
execFileSync('npm', ['install', '--ignore-scripts', ...command.split(' ')], {
  cwd: folder,
  stdio: 'pipe',
})
const server = spawn(process.execPath, [script, 'serve', '--port', '0', '--json'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'inherit'],
})
process.on('exit', () => server.kill('SIGKILL'))
const { address } = JSON.parse(
  await new Promise((resolve) => server.stdout.once('data', (part) => resolve(String(part)))),
)
const answer = await fetch(`${address}v2/models/builtin/infer`, {
  method: 'POST',
  body: new Uint8Array(8 * 96 * 96 * 3),
  headers: { 'Inference-Header-Content-Length': '0' },
})
assert.equal((await answer.json()).outputs.length, 3)
const browser = await chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox'] })
const page = await browser.newPage()
await page.goto(address)
await page.waitForFunction(() => globalThis.timeline?.times.length > 3, undefined, {
  timeout: 60_000,
})
await browser.close()
server.kill('SIGTERM')
console.log('the command line, the decoder, the server and its page work')

await useProject(folder)
console.log('the README alone: Kinetics by name, CSV, subtitles, ONNX and a webcam')

// The core runs without any dependency.
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
// Without permissions, which an error must name. Only what is imported may be read.
writeFileSync(
  join(folder, 'denied.ts'),
  `
  import { TRecViT } from 'npm:trecvit'
  const clip = 'node_modules/trecvit/models/tour.mp4'
  const model = await TRecViT.load('builtin', { device: 'wasm', threads: 1 })
  for (const work of [() => model.classify(clip), () => TRecViT.load('k400')]) {
    const error = await work().catch((error) => error)
    if (error.name !== 'TrecvitError') throw error
    if (!/\\(Requires \\w+ access to .*--allow-/.test(error.message)) throw error
  }`,
)
execFileSync(deno, ['run', '--no-prompt', '--node-modules-dir=manual', 'denied.ts'], {
  cwd: folder,
  stdio: 'pipe',
})
for (const allowed of [[], ['--allow-read']]) {
  const { status, stderr } = spawnSync(deno, ['run', '--no-prompt', ...allowed, script, 'doctor'], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.equal(status, 1)
  assert.match(stderr, /^trecvit: Deno lacks .* --allow-\w+ flag.*--allow-all.*\n$/)
}
console.log('Deno without permissions: the errors name them')
renameSync(modules, join(folder, 'all'))
execFileSync('mkdir', [modules])
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
