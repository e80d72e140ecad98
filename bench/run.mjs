// node bench/run.mjs [bench…] [--option value]…: `trecvit bench`, and the benches `threads` and
// `endless`, which are not in the package. Build the package first.
import { spawn } from 'node:child_process'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))

/**
 * Bundles a bench and runs it in its own Node process, so that one bench does not warm up the code
 * of another.
 * @param entry path of the .ts file
 * @param args options of the bench
 * @param folder folder of the bundle; packages are resolved from there
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

/** Runs a module to its end. Ctrl-C interrupts it as well as this process. */
function run(file, args) {
  process.on('SIGINT', () => {})
  const child = spawn(process.execPath, ['--expose-gc', file, ...args], { stdio: 'inherit' })
  return new Promise((done) => child.on('exit', (code, signal) => done(code ?? (signal ? 1 : 0))))
}
