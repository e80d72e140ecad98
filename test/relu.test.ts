import { noise, type OpCase, testOp } from './ops.ts'

function problem(name: string, rows: number, d: number, x = noise(rows * d, 1)): OpCase {
  return {
    name: `${name} ${rows} rows of ${d}`.trim(),
    inputs: { x: { shape: [1, 1, rows, d], values: x } },
    record: (ops, inputs) => ops.relu('op', inputs['x']!),
    bound: (_, want) => want.map(() => 0),
  }
}

testOp('sizes', [
  ...[1, 2, 3, 4, 5, 8, 9, 17].map((d) => problem('', 5, d)),
  problem('NaN and infinity', 1, 4, Float32Array.of(NaN, -Infinity, Infinity, -2)),
])
