// @module-tag slow
/**
 * The fuzzer detects faults: an edit plants a fault in a parser, and some cases must detect it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PluginBuild } from 'esbuild'
import { expect, test } from 'vitest'
import { buildFuzz } from './fuzz/build.mjs'
import { runCases } from './fuzz/cases.mjs'

/** An edit: text that occurs once in the file, and its replacement. */
interface Injected {
  readonly name: string
  readonly format: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** Expected kind of the fault, and its expected text. */
  readonly kind: string
  readonly text: RegExp
}

const injected: readonly Injected[] = [
  {
    name: 'a bounds check that is gone',
    format: 'npz',
    file: 'src/checkpoint/zipDirectory.ts',
    from: 'bytes > MAX_DIRECTORY || at + bytes > source.size',
    to: 'false',
    kind: 'allocation',
    text: /asked for \d+ bytes/,
  },
  {
    name: 'a loop without an end',
    format: 'npz',
    file: 'src/checkpoint/zipDirectory.ts',
    from: 'at += end === 0 ? 4 + length : 4',
    to: 'at += end === 0 ? length : 4',
    kind: 'hang',
    text: /no answer/,
  },
  {
    name: 'memory for a length that nobody checked',
    format: 'safetensors',
    file: 'src/checkpoint/checkpoint.ts',
    from: 'headerBytes <= Math.min(MAX_HEADER, source.size - 8)',
    to: 'headerBytes < 2 ** 32',
    kind: 'allocation',
    text: /asked for \d+ bytes/,
  },
  {
    name: 'an answer that never comes',
    format: 'y4m',
    file: 'src/video/source/byteReader.ts',
    from: 'if (done) return false',
    to: 'if (done) return new Promise(() => {})',
    kind: 'crash',
    text: /never answers/,
  },
  {
    name: 'an error that is not ours',
    format: 'infer',
    file: 'src/cli/serve/json.ts',
    from: "value === null || typeof value !== 'object'",
    to: "typeof value !== 'object'",
    kind: 'error',
    text: /TypeError/,
  },
  {
    name: 'a message as long as the file',
    format: 'npy',
    file: 'src/checkpoint/npy.ts',
    from: 'quote(descr.slice(0, 40))',
    to: 'descr',
    kind: 'sentence',
    text: /\d+ characters/,
  },
  {
    name: 'a file that stays open',
    format: 'safetensors',
    file: 'src/checkpoint/checkpoint.ts',
    from: 'await source.close()',
    to: '',
    kind: 'handles',
    text: /left open|garbage/,
  },
]

test.each(injected)('$name is found', { timeout: 120_000 }, async (fault) => {
  const folder = await mkdtemp('build/fuzz-')
  try {
    const module = await buildFuzz(folder, [
      {
        name: 'plant',
        setup: ({ onLoad }: PluginBuild) =>
          onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => ({
            contents: await edited(path, fault),
            loader: 'ts',
          })),
      },
    ])
    const seen: { kind: string; text: string }[] = []
    const running = runCases(
      module,
      { name: fault.format, seed: 'planted', from: 0, to: 6000 },
      10_000,
      {
        onCase() {},
        onFault(_, found) {
          seen.push(found)
          running.stop()
        },
      },
    )
    await running.next
    expect(seen[0]).toMatchObject({ kind: fault.kind, text: expect.stringMatching(fault.text) })
  } finally {
    await rm(folder, { recursive: true })
  }
})

async function edited(path: string, { file, from, to }: Injected): Promise<string> {
  const source = await readFile(path, 'utf8')
  if (!path.endsWith(join('/', file))) return source
  expect(source.split(from).length, `times that "${from}" stands in ${file}, plus 1`).toBe(2)
  return source.replace(from, () => to)
}
