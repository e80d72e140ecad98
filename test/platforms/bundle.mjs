/**
 * Tests that need neither files nor processes as one module, with the parts of vitest that run
 * anywhere.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** The operations of a folder, whose tests have their names (test/operations.test.ts). */
const operationsOf = async (folder) =>
  (await readdir(join(root, folder)))
    .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
    .map((file) => file.slice(0, -3))
const ALL = [
  ...(await operationsOf('assembly')),
  ...(await operationsOf('assembly/train')).map((operation) => `train/${operation}`),
  'train/program',
  'goldens',
  'bits',
  'builds',
  'int8',
  'f16',
  'half',
  'shaders',
  'webgpu',
  'chooseWait',
  'failover',
  'gpuStreams',
]

/**
 * Bundles tests. A module runs them at once and prints a line `outcome {…}`; a page's leaves a
 * function `run` behind.
 * @param outfile two folders below the root of the working tree, where the tests then look for
 * their files
 * @param options.tests stems of files in test/
 * @param options.seconds after which a test has failed
 * @param options.tags expression of vitest for the tags of the tests to run
 */
export async function bundleTests(
  outfile,
  { page = false, tests = ALL, seconds = 240, tags = '' } = {},
) {
  await mkdir(dirname(outfile), { recursive: true })
  await build({
    stdin: {
      contents: `import { run } from './main.ts'\n${
        page
          ? 'globalThis.run = run'
          : `
        const options = ${JSON.stringify([seconds * 1000, tags])}
        const { passed, failed, skipped } = await run(console.log, ...options)
        console.log('outcome', JSON.stringify({ passed, failed, skipped }))
        globalThis.process?.exit(failed ? 1 : 0)`
      }`,
      resolveDir: join(root, 'test/platforms'),
    },
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: page ? 'browser' : 'node',
    logLevel: 'error',
    loader: { '.txt': 'text', '.wgsl': 'text' },
    external: ['node:*', 'webgpu', 'node-webcodecs'],
    // Files are found as if the bundle were test/x.ts. A variable, because a codec of the bundle
    // assigns to it.
    define: { 'import.meta.url': 'urlOfTests' },
    banner: { js: 'let urlOfTests = new URL("../../test/x.ts", import.meta.url).href' },
    plugins: [
      {
        name: 'tests',
        setup(bundle) {
          // Not by the loader "binary": an import() of its module defines a getter for each byte.
          bundle.onLoad({ filter: /\.(wasm|safetensors)$/ }, async ({ path }) => {
            const base64 = (await readFile(path)).toString('base64')
            const bytes = `Uint8Array.from(atob('${base64}'), (char) => char.charCodeAt(0))`
            return { contents: `export default ${bytes}` }
          })
          bundle.onResolve({ filter: /^vitest$/ }, () => ({
            path: join(root, 'test/platforms/vitest.ts'),
          }))
          bundle.onResolve({ filter: /^test-files$/ }, () => ({
            path: 'test-files',
            namespace: 'tests',
          }))
          bundle.onLoad({ filter: /.*/, namespace: 'tests' }, () => ({
            contents: `export default { ${tests
              .map((test) => `'test/${test}.test.ts': () => import('../${test}.test.ts')`)
              .join(', ')} }`,
            resolveDir: join(root, 'test/platforms'),
          }))
        },
      },
    ],
  })
}
