/**
 * Weights arrive in chunks of any size, and as parts of adjacent columns. The packed weight must
 * not depend on this.
 */
import { describe, test } from 'vitest'
import { type BackendUnderTest, backends, optionsOf } from './backends.ts'
import { expectSame, noise, type OpCase, runOp } from './ops.ts'

const [rows, blocks, k, n] = [4, 3, 5, 21]
const op: OpCase = {
  name: 'gates',
  inputs: { x: { shape: [1, 1, rows, blocks * k], values: noise(rows * blocks * k, 1) } },
  weights: {
    kernel: { kind: 'matrix', blocks, rows: k, columns: n, values: noise(blocks * k * n, 2) },
    bias: { kind: 'rows', blocks, rows: 1, columns: n, values: noise(blocks * n, 3) },
  },
  record: (ops, { x }) => ops.blockLinear('op', x!, 'kernel', 'bias'),
  bound: () => [],
}

/**
 * Returns a backend that receives each weight as columns 0..split−1 and the rest, each in chunks of
 * `size` values.
 */
function inPieces(
  create: BackendUnderTest['create'],
  split: number,
  size: number,
): BackendUnderTest['create'] {
  return async (weights) => {
    const backend = await create(weights)
    const write = backend.write.bind(backend)
    backend.write = (weight, values) => {
      const { columns } = weight
      for (const [from, to] of [
        [0, split],
        [split, columns],
      ] as const) {
        const part = values.filter((_, at) => at % columns >= from && at % columns < to)
        for (let first = 0; first < part.length; first += size)
          write(weight, part.subarray(first, first + size), first, to - from, from)
      }
    }
    return backend
  }
}

describe.each(backends)('$name', ({ name, create }) => {
  test.each(
    [0, 1, 5, 8, 13, 16].flatMap((split) =>
      [1, 3, 7, 8, 16, 17, 1000].map((size) => ({ split, size })),
    ),
  )(
    'parts at column 0 and $split, in chunks of $size',
    optionsOf({ name }),
    async ({ split, size }) => {
      expectSame(
        'output',
        (await runOp(inPieces(create, split, size), op)).output,
        (await runOp(create, op)).output,
      )
    },
  )
})
