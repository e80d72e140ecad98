/** Cases for the gradients of linear and blockLinear, and error bounds of their sums. */
import { gamma, noise, type OpCase } from '../ops.ts'

/** A product x·kernel in blocks of columns, with b·t·n rows. */
export interface Product {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  readonly rows: number
  readonly blocks?: number
  readonly k: number
  readonly n: number
  readonly x?: Float32Array
  readonly kernel?: Float32Array
  readonly dy?: Float32Array
  readonly add?: boolean
}

/** dx = dy·kernelᵀ + add, in each block. */
export function inputGradient(p: Product): OpCase {
  const { b = 1, t = 1, rows, blocks = 1, k, n } = p
  const count = b * t * rows
  const dy = p.dy ?? noise(count * blocks * n, 1)
  const kernel = p.kernel ?? noise(blocks * k * n, 2)
  const add = p.add ? noise(count * blocks * k, 3) : undefined
  return {
    ...{ name: nameOf(p), b, t },
    inputs: {
      dy: { shape: [b, t, rows, blocks * n], values: dy },
      ...(add && { add: { shape: [b, t, rows, blocks * k], values: add } }),
    },
    weights: { kernel: { kind: 'matrix', blocks, rows: k, columns: n, values: kernel } },
    record: (ops, { dy, add }) => ops.linearInputGradient('op', dy!, 'kernel', add && { add }),
    bound: (precision, want) =>
      want.map((_, at) => {
        const [row, block, i] = [Math.floor(at / (blocks * k)), Math.floor(at / k) % blocks, at % k]
        let size = Math.abs(add?.[at] ?? 0)
        for (let j = 0; j < n; j++)
          size += Math.abs(dy[(row * blocks + block) * n + j]! * kernel[(block * k + i) * n + j]!)
        return gamma(n + 1, precision) * size + n * precision.smallest
      }),
  }
}

/** dkernel = xᵀ·dy in each block. */
export function kernelGradient(p: Product): OpCase {
  const { b = 1, t = 1, rows, blocks = 1, k, n } = p
  const count = b * t * rows
  const x = p.x ?? noise(count * blocks * k, 1)
  const dy = p.dy ?? noise(count * blocks * n, 2)
  return {
    ...{ name: nameOf(p), b, t },
    inputs: {
      x: { shape: [b, t, rows, blocks * k], values: x },
      dy: { shape: [b, t, rows, blocks * n], values: dy },
    },
    record: (ops, { x, dy }) => ops.linearKernelGradient('op', x!, dy!, { blocks }),
    bound: (precision, want) =>
      want.map((_, at) => {
        const [block, i, j] = [Math.floor(at / (k * n)), Math.floor(at / n) % k, at % n]
        let size = 0
        for (let row = 0; row < count; row++)
          size += Math.abs(x[(row * blocks + block) * k + i]! * dy[(row * blocks + block) * n + j]!)
        return gamma(count + 1, precision) * size + count * precision.smallest
      }),
  }
}

function nameOf({ name, b = 1, t = 1, rows, blocks = 1, k, n, add }: Product): string {
  const frames = b * t > 1 ? `${b}×${t}×` : ''
  const parts = [name, `${frames}${rows}×${blocks}·${k}×${n}`, add && 'add']
  return parts.filter(Boolean).join(', ')
}
