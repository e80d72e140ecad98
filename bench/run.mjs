// node bench/run.mjs [bench…] [--option value]…: `trecvit bench`, and the benches threads and
// endless, which are not in the package. The package must be built.
import { spawn } from 'node:child_process'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))

/**
 * Bundles a bench and runs it in a Node of its own, so that benches do not warm each other's code.
 * @param entry path of the .ts file
 * @param args options of the bench
 * @param folder where the bundle goes; packages are looked up from there
 * @returns exit code
 */
export async function runBench(entry, args, folder = join(here, '../build/bench')) {
  const outfile = join(folder, `${basename(entry, '.ts')}.mjs`)
  await build({
    stdin: {
      contents:
        `import { bench } from ${JSON.stringify(entry)}\nimport { main } from ` +
        `${JSON.stringify(join(here, 'lib/main.ts'))}\nawait main(bench)`,
      resolveDir: here,
    },
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    packages: 'external',
    loader: { '.wasm': 'binary', '.safetensors': 'binary', '.txt': 'text', '.wgsl': 'text' },
    logLevel: 'error',
  })
  return run(outfile, args)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name = '', ...args] = process.argv.slice(2)
  const own = ['threads', 'endless'].includes(name)
  process.exitCode = own
    ? await runBench(resolve(here, `${name}.ts`), args)
    : await run(join(here, '../dist/cli/index.js'), ['bench', ...process.argv.slice(2)])
}

/** Runs a module to its end; Ctrl-C reaches it by itself, as it does this process. */
function run(file, args) {
  process.on('SIGINT', () => {})
  const child = spawn(process.execPath, ['--expose-gc', file, ...args], { stdio: 'inherit' })
  return new Promise((done) => child.on('exit', (code, signal) => done(code ?? (signal ? 1 : 0))))
}
