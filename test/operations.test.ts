/** One operation, one name: in the program, in assembly/, in gpu/, in test/. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { reference } from '../scripts/reference.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import { OPS } from '../src/program/describe.ts'

const operations = [...OPS]
const filesOf = async (folder: string, ending: string) =>
  (await readdir(new URL(folder, import.meta.url)))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))

test('the listing has each operation once, in order, and all that models use', () => {
  expect(operations).toEqual([...new Set(operations)].sort())
  const used = [configOf('mu'), configOf('mu', { poolType: 'gap', useMlp: true })].flatMap(
    (config) => {
      const { steps } = recordModel(config, {
        b: 1,
        t: 1,
        pixels: 'u8',
        recent: 'window',
        encoded: true,
      })
      return steps.map(({ op }) => op)
    },
  )
  expect(used.length).toBeGreaterThan(0)
  expect(operations).toEqual(expect.arrayContaining(used))
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
