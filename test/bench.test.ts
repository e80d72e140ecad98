import { describe, expect, test } from 'vitest'
import { bench as frame } from '../src/bench/frame.ts'
import { bench as growth } from '../src/bench/growth.ts'
import { bench as kernels } from '../src/bench/kernels.ts'
import type { Monitor } from '../src/bench/lib/bench.ts'
import { pageOf } from '../src/bench/lib/html.ts'
import { parseReports, type Report, type Table, textOf } from '../src/bench/lib/report.ts'
import { median } from '../src/bench/lib/stats.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'

const steps = recordModel(configOf('Ti'), {
  b: 1,
  t: 1,
  pixels: 'f32',
  recent: 'all',
  encoded: false,
}).steps.length
const sumOf = (table: Table, column: string) =>
  table.rows.reduce((sum, row) => sum + Number(row[column]), 0)

function monitored(stopAt = 2): { monitor: Monitor; shares: number[] } {
  const shares: number[] = []
  const stop = new AbortController()
  const progress = (share: number) => {
    shares.push(share)
    if (share >= stopAt) stop.abort()
  }
  return { monitor: { signal: stop.signal, progress }, shares }
}

function expectProgress(shares: readonly number[]): void {
  expect(shares.length).toBeGreaterThan(5)
  expect(shares[0]).toBeGreaterThanOrEqual(0)
  expect(shares.at(-1)).toBeLessThanOrEqual(1)
  expect(shares.every((share, index) => index === 0 || share >= shares[index - 1]!)).toBe(true)
}

test('kernels: every step of the model, under a roof of the same run', {
  tags: 'slow',
}, async () => {
  const { monitor, shares } = monitored()
  const report = await kernels({ size: 'Ti', seconds: '0.02' }, monitor)
  expectProgress(shares)
  expect(report.facts['runtime']).toMatch(/^(Node|Deno|Bun|Chromium|Firefox) \d+/)
  const [, table] = report.tables as [Table, Table]
  expect(sumOf(table, 'steps')).toBe(steps)
  for (const row of table.rows) expect(row['ms'], String(row['operation'])).toBeGreaterThan(0)
  const { peak, bandwidth, points } = report.roofline!
  expect(peak).toBeGreaterThan(0)
  expect(bandwidth).toBeGreaterThan(0)
  expect(points.reduce((sum, { share }) => sum + share, 0)).toBeGreaterThan(0.9)
  // 197 rows × 192 → 768: two operations per weight and row, four bytes per number read or written.
  const { intensity, rate } = points.find(
    ({ label }) => label === 'linear linear_yx 197 × 192 → 768',
  )!
  expect(intensity).toBeCloseTo(
    (2 * 197 * 192 * 768) / (4 * (197 * 192 + 192 * 768 + 768 + 197 * 768)),
    5,
  )
  const row = table.rows.find(({ operation }) => operation === 'linear linear_yx')!
  expect(rate).toBeCloseTo(Number(row['GFLOP/s']), 5)
})

test('kernels: int8 products relative to one of int8', { tags: 'slow' }, async () => {
  const { tables, roofline } = await kernels({ size: 'Ti', seconds: '0.02', dtype: 'int8' })
  const [limits, table] = tables as [Table, Table]
  const rateOf = (what: RegExp) =>
    Number(limits.rows.find((row) => what.test(String(row['what'])))!['GOP/s'])
  const peak = rateOf(/^int8 product in/)
  expect(roofline).toMatchObject({ unit: 'GOP/s', peak })
  // The limits that shares are relative to: their median is the limit of the table.
  const floats = /^(conv1d|attention|linear (embedding|pre_logits|cls_head))$/
  const limitOf = (isFloat: boolean) =>
    median(
      table.rows
        .filter((row) => '% of peak' in row && floats.test(String(row['operation'])) === isFloat)
        .map((row) => (100 * Number(row['GOP/s'])) / Number(row['% of peak'])),
    )
  expect(limitOf(false)).toBeCloseTo(peak, 5)
  expect(limitOf(true)).toBeCloseTo(rateOf(/^product in/), 5)
  expect(rateOf(/^int8 products of/)).toBeGreaterThan(0)
})

test.each([
  ['f32', 'GFLOP/s'],
  ['int8', 'GOP/s'],
])('frame of %s: time, frames a second, and every step', { tags: 'slow' }, async (dtype, unit) => {
  const { monitor, shares } = monitored()
  const report = await frame({ size: 'Ti', seconds: '0.1', dtype }, monitor)
  expectProgress(shares)
  const [whole, operations] = report.tables as [Table, Table]
  expect(whole.rows).toHaveLength(1)
  const row = whole.rows[0]!
  expect(row).toMatchObject({ size: 'Ti', frames: expect.any(Number) })
  expect(row['fps']).toBeCloseTo(1000 / Number(row['p50 ms']), 5)
  expect(row[unit]).toBeGreaterThan(0)
  expect(operations.rows[0]![unit]).toBeGreaterThan(0)
  expect(row['p95 ms']).toBeGreaterThanOrEqual(Number(row['p50 ms']))
  expect(sumOf(operations, 'steps')).toBe(steps)
  expect(sumOf(operations, 'share %')).toBeCloseTo(100, 3)
  expect(report.bars).toEqual([{ group: 'Ti', label: 'trecvit', value: row['fps'] }])
})

test('growth: tokens, width, streams, frames', { tags: 'slow' }, async () => {
  const { monitor, shares } = monitored()
  // Long enough for V8 to optimise the smallest model as well as the largest, and to average out
  // other load on the machine.
  const report = await growth({ seconds: '0.2' }, monitor)
  expectProgress(shares)
  expect(report.tables.map(({ rows }) => rows.length)).toEqual([5, 4, 5, 5])
  expect(report.tables[0]!.rows.map(({ tokens }) => tokens)).toEqual([17, 65, 145, 257, 401])
  // 23 times the tokens cost more than 23 times the work. The extra time is far above the noise.
  expect(Number(report.tables[0]!.rows[4]!['work of the first'])).toBeGreaterThan(23)
  expect(Number(report.tables[0]!.rows[4]!['of the first'])).toBeGreaterThan(5)
  expect(Number(report.tables[1]!.rows[3]!['of the first'])).toBeGreaterThan(5)
})

test('a bench that is aborted reports what it has measured', { tags: 'slow' }, async () => {
  const { tables } = await kernels({ size: 'Ti', seconds: '0.02' }, monitored(0.3).monitor)
  expect(tables[1]!.rows.length).toBeGreaterThan(3)
  expect(tables[1]!.rows.length).toBeLessThan(15)
  expect(
    (await frame({ size: 'Ti,B', seconds: '0.02' }, monitored(0.4).monitor)).tables[0]!.rows.map(
      ({ size }) => size,
    ),
  ).toEqual(['Ti'])
  expect((await growth({ seconds: '0.02' }, monitored(0.4).monitor)).tables.length).toBe(2)
  expect(
    (await kernels({ size: 'Ti', seconds: '0.02' }, monitored(0).monitor)).roofline,
  ).toBeUndefined()
})

test('settings that do not fit are named', async () => {
  await expect(frame({ size: 'XXL' })).rejects.toThrow(/^"--size" expected one of .*Ti.*, got XXL$/)
  await expect(frame({ build: 'fast' })).rejects.toThrow(
    /^"--build" expected one of auto, .*, got fast$/,
  )
  await expect(frame({ seconds: '0' })).rejects.toThrow(
    /^"--seconds" expected a number above 0, got 0$/,
  )
  await expect(growth({ threads: '1.5' })).rejects.toThrow(/^"--threads" expected an integer/)
})

describe('the page', () => {
  const reportOf = (runtime: string, factor: number): Report => ({
    bench: 'kernels',
    facts: { runtime, cpu: 'a <b>"CPU"</b>', kernels: 'simd', threads: 1 },
    tables: [
      { title: 'Steps & such', rows: [{ operation: '<script>alert(1)</script>', ms: 1.5 }] },
    ],
    roofline: {
      peak: 50 * factor,
      bandwidth: 10,
      points: [
        { label: 'linear out 197 × 192 → 192', intensity: 30, rate: 40 * factor, share: 0.7 },
        { label: 'linear out 1 × 192 → 192', intensity: 0.5, rate: 4, share: 0.1 },
        { label: 'rgLru 1×1×197×384', intensity: 0.6, rate: 2, share: 0.2 },
      ],
    },
    bars: [{ group: 'Ti', label: 'trecvit', value: 10 * factor }],
    verdict: { holds: true, text: 'all is <well>' },
  })

  test('draws several machines in one plot, and escapes the text of reports', () => {
    const page = pageOf([reportOf('Node 24', 1), reportOf('Deno 2', 2)])
    expect(page).not.toMatch(/<script|<b>"|<well>|https?:|NaN|Infinity/)
    expect(page.match(/class="roof"/g)).toHaveLength(2)
    // Two kinds of each. Steps of one operation with different shapes share a point.
    expect(page.match(/<circle/g)).toHaveLength(4)
    expect(
      page
        .match(/class="label"[^>]*>[^<]*/g)!
        .map((label) => label.split('>')[1])
        .sort(),
    ).toEqual(['out', 'rgLru'])
    expect(page).toMatch(/<i style="width:50\.00%".*<i style="width:100\.00%"/)
  })

  test('says in which unit the rates of each machine are', () => {
    const report = reportOf('Deno 2', 2)
    const int8: Report = { ...report, roofline: { ...report.roofline!, unit: 'GOP/s' } }
    expect(pageOf([int8])).not.toContain('GFLOP/s')
    const page = pageOf([reportOf('Node 24', 1), int8])
    expect(page).toContain('>GFLOP/s or GOP/s<')
    expect(page).toMatch(/Node 24[^<]*: 50 GFLOP\/s.*Deno 2[^<]*: 100 GOP\/s/s)
  })

  test('reports survive their JSON; other files are refused in one sentence', () => {
    const reports = [reportOf('Bun', 1), reportOf('Node', 1)]
    expect(parseReports('a.json', JSON.stringify(reports))).toEqual(reports)
    expect(parseReports('a.json', JSON.stringify(reports[0]))).toEqual([reports[0]])
    expect(textOf(reports[0]!)).toMatch(/^kernels: runtime Bun/)
    expect(() => parseReports('b.json', '{')).toThrow(
      /^"b\.json" is not JSON; expected a file of "trecvit bench --out"/,
    )
    for (const wrong of [
      '[]',
      'null',
      '{}',
      '[{"bench":"x","facts":{},"tables":[{"title":"t","rows":[{"a":{}}]}],"verdict":null}]',
      JSON.stringify({ ...reports[0], roofline: { peak: 1, bandwidth: 1, points: [{}] } }),
      JSON.stringify({ ...reports[0], roofline: { ...reports[0]!.roofline, unit: '<b>' } }),
    ]) {
      expect(() => parseReports('c.json', wrong), wrong).toThrow(
        /^"c\.json" holds no bench reports/,
      )
    }
  })
})
