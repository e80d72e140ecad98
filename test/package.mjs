// The package as a user gets it: packed, unpacked elsewhere, imported. Run after a build: node test/package.mjs
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'

const root = mkdtempSync(join(tmpdir(), 'trecvit-'))
try {
  const [{ filename, size, unpackedSize, files }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', root], { encoding: 'utf8' }))
  const paths = files.map(({ path }) => path)
  for (const path of ['dist/index.js', 'dist/index.d.ts', 'dist/trecvit.wasm', 'dist/worker.js', 'dist/cli/index.js', 'models/motion.safetensors', 'LICENSE', 'README.md']) assert(paths.includes(path), `${path} is not in the package`)
  assert(!paths.some((path) => /^(src|test|bench|assembly|build)\//.test(path)), 'sources or tests are in the package')
  console.log(`packed ${(size / 1e6).toFixed(2)} MB, unpacked ${(unpackedSize / 1e6).toFixed(2)} MB, ${files.length} files`)

  mkdirSync(join(root, 'node_modules'))
  execFileSync('tar', ['-xzf', join(root, filename), '-C', join(root, 'node_modules')])
  const home = join(root, 'node_modules', 'trecvit')
  execFileSync('mv', [join(root, 'node_modules', 'package'), home])

  // The core runs without any of its dependencies.
  writeFileSync(join(root, 'core.mjs'), `
    import { TRecViT } from 'trecvit'
    const model = await TRecViT.load('builtin')
    const { top } = await model.stream().push({ data: new Uint8Array(96 * 96 * 3), shape: [96, 96, 3] })
    if (!top[0].label) throw new Error('no label')
    await model.dispose()`)
  execFileSync(process.execPath, [join(root, 'core.mjs')])

  // With its dependencies beside it the command line runs, from another folder.
  symlinkSync(resolve('node_modules'), join(home, 'node_modules'))
  const out = execFileSync(process.execPath, [join(home, 'dist/cli/index.js'), 'classify', '--json', '--frames', '8'], { cwd: root, encoding: 'utf8' })
  assert(JSON.parse(out).top[0].label)

  const wasm = gzipSync(readFileSync(join(home, 'dist/trecvit.wasm'))).length
  console.log(`wasm ${wasm} bytes gzipped`)
  assert(wasm <= 60_000)
} finally {
  rmSync(root, { recursive: true })
}
