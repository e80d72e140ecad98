/** Types of the built package, checked with the strictest options of a caller. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'trecvit-types-'))
afterAll(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/trecvit'))
symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'))
writeFileSync(join(folder, 'package.json'), '{"type":"module"}')

/** Uses all exports of the entry points. */
const use = `
import { openCheckpoint, TRecViT, type LoadOptions, type Stream } from 'trecvit'
import motion from 'trecvit/motion'
import { openVideo, sample, toPixels, type OpenOptions } from 'trecvit/video'

export async function main(options: LoadOptions, opening: OpenOptions): Promise<number> {
  const model = await TRecViT.load(motion, options)
  const stream: Stream = model.stream({ average: { frames: 8 } })
  const checkpoint = await openCheckpoint('model.npz')
  let last = checkpoint.skipped.size
  for await (const frame of sample(await openVideo('clip.mp4', opening), { fps: 5 })) {
    const pixels = toPixels(frame, { height: 8, width: 8 })
    last += (await stream.push(frame)).top[0]!.prob + pixels.length
  }
  await model[Symbol.asyncDispose]()
  return last
}
`
/** With types of WebGPU, `gpu` has the type of its entry point. */
const gpu = `
// @ts-expect-error: requestAdapter is missing
export const wrong: LoadOptions = { gpu: {} }
`

/** The other types are also checked. */
const device = `
// @ts-expect-error: no such device
export const wrong: LoadOptions = { device: 'gpu' }
`

/** Returns the output of tsc for a program with these libraries. */
function check(
  name: string,
  lib: readonly string[],
  types: readonly string[],
  text: string,
): string {
  writeFileSync(join(folder, `${name}.ts`), text)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib,
    types,
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  }
  writeFileSync(
    join(folder, `${name}.json`),
    JSON.stringify({ compilerOptions, files: [`${name}.ts`] }),
  )
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return spawnSync(process.execPath, [tsc, '-p', `${name}.json`], { cwd: folder, encoding: 'utf8' })
    .stdout
}

test('the package is built', () => expect(existsSync(join(root, 'dist/index.d.ts'))).toBe(true))

test.each<[string, string[], string[], string]>([
  ['page', ['es2022', 'dom'], [], use + gpu],
  ['server', ['es2022'], ['node'], use + device],
])('no error of a %s: lib %s, types %s', { tags: 'slow' }, (name, lib, types, text) => {
  expect(check(name, lib, types, text)).toBe('')
})
