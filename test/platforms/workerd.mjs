/**
 * workerd, through miniflare: scripts that import the package, with its WebAssembly compiled
 * beforehand as workerd wants it.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'

const root = new URL('../../', import.meta.url)

/**
 * Starts a worker. The files of the repository are at `env.files.fetch('http://files/<path>')`.
 * @param entry path of its script
 * @param resolveDir folder whose node_modules holds the package, unless the script names it by path
 */
export async function startWorkerd(entry, { folder = fileURLToPath(root) } = {}) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: folder,
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'error',
    conditions: ['workerd', 'worker'],
    target: 'es2022',
    plugins: [
      {
        name: 'wasm',
        setup: (bundle) =>
          bundle.onResolve({ filter: /\.wasm$/ }, ({ path }) => ({
            path: path.includes('/train/') ? './training.wasm' : './trecvit.wasm',
            external: true,
          })),
      },
    ],
  })
  const worker = new Miniflare({
    modulesRoot: '/',
    compatibilityDate: '2026-04-01',
    modules: [
      { type: 'ESModule', path: '/worker.js', contents: outputFiles[0].text },
      {
        type: 'CompiledWasm',
        path: '/trecvit.wasm',
        contents: await readFile(new URL('dist/trecvit.wasm', root)),
      },
      {
        type: 'CompiledWasm',
        path: '/training.wasm',
        contents: await readFile(new URL('dist/train/trecvit.wasm', root)),
      },
    ],
    serviceBindings: {
      files: async (request) =>
        new Response(await readFile(new URL(new URL(request.url).pathname.slice(1), root))),
    },
  })
  await worker.ready
  return worker
}
