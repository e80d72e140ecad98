/** One operation, one name: in the program, in assembly/, in gpu/, in test/. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { reference } from '../scripts/reference.ts'
import { OPS } from '../src/program/describe.ts'

const operations = [...OPS]
const filesOf = async (folder: string, ending: string) =>
  (await readdir(new URL(folder, import.meta.url)))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))

test('the program knows eleven operations or more', () => {
  expect(operations.length).toBeGreaterThanOrEqual(11)
})

test('the page about operations is current', async () => {
  expect(await readFile('docs/operations.md', 'utf8'), 'run "npm run build"').toBe(
    await reference(),
  )
})

test.each([
  ['assembly', '.ts'],
  ['gpu', '.wgsl'],
])(
  'every operation has a kernel of its name in %s, and every kernel is one',
  async (folder, ending) => {
    expect(
      (await filesOf(`../${folder}`, ending)).filter((stem) => stem !== 'index').sort(),
    ).toEqual(operations)
  },
)

test('every operation has a test of its name', async () => {
  const tests = await filesOf('.', '.test.ts')
  expect(operations.filter((name) => !tests.includes(name))).toEqual([])
})
