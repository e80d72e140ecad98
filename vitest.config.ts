import { readdir, readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { assembly, trainingAssembly } from './scripts/assembly.ts'
import { fusedShaders, matrixShaders, shaders, trainingShaders } from './scripts/shaders.ts'

/** @throws Error if kernels are older than their source: the tests would run something else */
async function checkKernels(wasm: string): Promise<void> {
  const { mtimeMs: built } = await stat(wasm)
  const isTraining = wasm.includes('/build/train/')
  for (const name of await readdir('assembly', { recursive: true })) {
    if (!/\.(ts|mjs)$/.test(name) || (!isTraining && name.startsWith('train'))) continue
    if ((await stat(join('assembly', name))).mtimeMs > built)
      throw new Error(`${wasm} is older than assembly/${name}; run "npm run build"`)
  }
  const [text, path] = isTraining
    ? [trainingAssembly, 'build/train/operations.ts']
    : [assembly, 'build/operations.ts']
  if (text !== (await readFile(path, 'utf8')))
    throw new Error(`${wasm} is older than src/program/ops; run "npm run build"`)
}

/**
 * Text of test files that change or count what belongs to a process, or whose helpers have hooks.
 * Each of them runs in a process of its own. The others share processes: modules are loaded once,
 * and a software GPU compiles each kernel once.
 */
const ALONE = new RegExp(
  String.raw`\bvi\.(mock\b|doMock|resetModules|use)|` +
    String.raw`\bprocess\.(?!env,|execPath|platform|versions)|` +
    String.raw`\b(globalThis|pollAsUsual|watchedWorkers)\b|/(held|madeClips|smallStream)\.ts`,
)

/**
 * Text of test files that may have slow tests: their own, or those that these helpers tag. The
 * others are not imported by `npm run test:slow`, and files with this comment not by `npm test`.
 */
const SLOW = /\bslow\b|\/(backends|bits|ops)\.ts'/
const ALL_SLOW = '// @module-tag slow\n'
const onlySlow = process.argv.includes('slow')
const noneSlow = process.argv.includes('!slow')

/** Folders of tests: not test/platforms, whose packages take seconds to list. */
const folders = ['test', 'test/soak', 'test/train']
const files: { alone: string[]; together: string[] } = { alone: [], together: [] }
for (const folder of folders)
  for (const name of await readdir(folder))
    if (name.endsWith('.test.ts')) {
      const text = await readFile(join(folder, name), 'utf8')
      if (onlySlow && !SLOW.test(text)) continue
      if (noneSlow && text.includes(ALL_SLOW)) continue
      files[ALONE.test(text) ? 'alone' : 'together'].push(`${folder}/${name}`)
    }

export default defineConfig({
  plugins: [
    {
      // The same as the bundler's loaders (build.mjs): a .wasm or .safetensors file is its bytes,
      // .wgsl and .txt files are their text.
      name: 'assets',
      enforce: 'pre',
      async load(id) {
        if (id.endsWith('build/shaders.txt'))
          return `export default ${JSON.stringify(await shaders())}`
        if (id.endsWith('build/train/shaders.txt'))
          return `export default ${JSON.stringify(await trainingShaders())}`
        if (id.endsWith('build/matrix/shaders.txt'))
          return `export default ${JSON.stringify(await matrixShaders())}`
        if (id.endsWith('build/fused/shaders.txt'))
          return `export default ${JSON.stringify(await fusedShaders())}`
        if (/\.(wgsl|txt)$/.test(id))
          return `export default ${JSON.stringify(await readFile(id, 'utf8'))}`
        if (!/\.(wasm|safetensors)$/.test(id)) return null
        if (/\/build\/(train\/)?[\w-]+\.wasm$/.test(id)) await checkKernels(id)
        return (
          `import { readFileSync } from 'node:fs'\n` +
          `export default new Uint8Array(readFileSync(${JSON.stringify(id)}))`
        )
      },
    },
  ],
  test: {
    projects: [
      { extends: true, test: { name: 'alone', include: files.alone } },
      { extends: true, test: { name: 'together', include: files.together, isolate: false } },
    ],
    // A software GPU that compiles beside other tests may need more than a minute.
    // So that a test leaves nothing to the next file in the same process.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    testTimeout: onlySlow ? 360_000 : 60_000,
    hookTimeout: 60_000,
    tags: [
      {
        name: 'slow',
        description:
          'Takes about a third of a second or more: not in npm test, but in npm run test:all.',
      },
      {
        name: 'gpu',
        description: 'Runs on a GPU; with "slow" it takes seconds on a software GPU.',
      },
    ],
    // One more than the cores, because many tests wait: for processes, sockets, a GPU.
    maxWorkers: availableParallelism() + 1,
    pool: 'forks',
    // .ci/run counts the tests from the file.
    reporters: process.env['CI']
      ? ['default', ['json', { outputFile: 'build/tests.json' }]]
      : ['default'],
  },
})
