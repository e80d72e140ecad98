// @module-tag slow
/** `npm run build` and `npm start` rebuild only what has changed. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../', import.meta.url))
const copy = mkdtempSync(join(tmpdir(), 'trecvit-build-'))

beforeAll(() => {
  const files = ['package.json', 'package-lock.json', 'asconfig.json', 'tsconfig.json', 'build.mjs']
  const folders = ['assembly', 'gpu', 'scripts', 'src', 'models', 'build', 'dist']
  for (const name of [...files, ...folders, 'docs/operations.md'])
    cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
})

afterAll(() => rmSync(copy, { recursive: true }))

/** Builds, and returns the milliseconds at which the package and the kernels were written. */
function build(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, ['build.mjs', ...args], {
    cwd: copy,
    encoding: 'utf8',
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const [dist, kernels] = ['dist/index.js', 'build/trecvit.wasm.sha256'].map(
    (name) => statSync(join(copy, name)).mtimeMs,
  )
  return { dist: dist!, kernels: kernels! }
}

test('a build rebuilds only what has changed', () => {
  const first = build()
  expect(build()).toEqual(first)
  // The files of `npm start` are among them.
  expect(build('--inference')).toEqual(first)

  appendFileSync(join(copy, 'src/index.ts'), '\n// A change.\n')
  const changed = build('--inference')
  expect(changed.dist).toBeGreaterThan(first.dist)
  expect(changed.kernels).toBe(first.kernels)
  expect(build('--inference')).toEqual(changed)

  rmSync(join(copy, 'dist'), { recursive: true })
  const again = build()
  expect(again.dist).toBeGreaterThan(changed.dist)
  expect(again.kernels).toBe(first.kernels)
  // The build above has the files of training, too.
  expect(statSync(join(copy, 'dist/train/index.js')).isFile()).toBe(true)
})
