// @module-tag slow
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { format, parseReports } from '../src/bench/lib/report.ts'
import { file, outcome, run, start } from './commandLine.ts'

test('bench: a report on the terminal, JSON and a page in files', async () => {
  const [out, html] = [file('bench.json'), file('bench.html')]
  const { code, stdout, stderr } = await run(
    'bench',
    'frame',
    '--size',
    'Ti',
    '--seconds',
    '0.05',
    '--out',
    out,
    '--html',
    html,
  )
  expect(code, stderr).toBe(0)
  expect(stdout).toMatch(/^frame: runtime Node .*\n\nA frame of a stream.*\nsize +frames +p50 ms/)
  expect(stderr).toBe(`Wrote ${out}\nWrote ${html}\n`)
  const [report] = parseReports(out, readFileSync(out, 'utf8'))
  expect(report).toMatchObject({ bench: 'frame', facts: { threads: 1, dtype: 'f32' } })
  expect(readFileSync(html, 'utf8')).toContain(`>${format(report!.bars![0]!.value)}<`)
})

test('bench start: processes of their own, JSON', async () => {
  const { code, stdout, stderr } = await run('bench', 'start', '--size', 'Ti', '--json', '--quiet')
  expect(code, stderr).toBe(0)
  const { tables } = parseReports('standard output', stdout)[0]!
  expect(tables[0]!.rows.map(({ model, processes }) => [model, processes])).toEqual([
    ['built-in', 7],
    ['Ti, .npz of 45 MB', 3],
  ])
  for (const row of tables[0]!.rows)
    expect(row['process to result ms']).toBeGreaterThan(Number(row['load and frame ms']))
  const [memory] = tables[1]!.rows
  expect(memory!['peak MB']).toBeGreaterThan(Number(memory!['weights MB']))
})

test('Ctrl-C ends it with what was measured', async () => {
  const child = start(['bench', 'frame', '--size', 'Ti,B', '--seconds', '60', '--json'])
  const ended = outcome(child)
  setTimeout(() => child.kill('SIGINT'), 4000)
  const { code, stdout } = await ended
  expect(code).toBe(130)
  expect(parseReports('standard output', stdout)[0]!.tables[0]!.rows).toMatchObject([
    { size: 'Ti' },
  ])
})

test('errors are one sentence', async () => {
  expect(await run('bench', 'speed')).toMatchObject({
    code: 1,
    stderr: 'trecvit: There is no bench "speed"; expected one of kernels, frame, growth, start\n',
  })
  expect(await run('bench', 'start', '--seconds', '3')).toMatchObject({
    code: 1,
    stderr: 'trecvit: "--seconds" expected a bench that it changes, like "kernels"\n',
  })
  expect(await run('bench', 'frame', '--size', 'Q')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^trecvit: "--size" expected one of .*, got Q\n$/),
  })
  expect((await run('bench', '--seconds', '0')).code).toBe(2)
})
