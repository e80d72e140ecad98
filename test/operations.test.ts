/** One operation, one name: in the program, in assembly/, in gpu/, in test/. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

const program = await readFile(new URL('../src/program/program.ts', import.meta.url), 'utf8')
const operations = [...program.matchAll(/StepOf<'(\w+)'/g)].map(([, name]) => name!).sort()
const filesOf = async (folder: string, ending: string) =>
  (await readdir(new URL(folder, import.meta.url)))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))

test('the program knows eleven operations', () => {
  expect(operations).toHaveLength(11)
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
