// node bench/run.mjs <bench> [--option value]…: bundles bench/<bench>.ts and runs it. The package must be built.
import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
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
      contents: `import { bench } from ${JSON.stringify(entry)}\nimport { main } from ${JSON.stringify(join(here, 'lib/main.ts'))}\nawait main(bench)`,
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
  const child = spawn(process.execPath, ['--expose-gc', outfile, ...args], { stdio: 'inherit' })
  return new Promise((done) => child.on('exit', (code, signal) => done(code ?? (signal ? 1 : 0))))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name = '', ...args] = process.argv.slice(2)
  const entry = resolve(here, `${name}.ts`)
  await access(entry).catch(() => {
    console.error(`Bench "${name}" expected one of frame, threads, endless, kernels; for onnxruntime-web use bench/peers/run.mjs`)
    process.exit(1)
  })
  process.exitCode = await runBench(entry, args)
}
