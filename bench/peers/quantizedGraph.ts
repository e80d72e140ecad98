import { quantize } from '../../src/base/int8.ts'
import {
  type Attribute,
  dataTypes,
  type FloatType,
  Graph,
  type Value,
} from '../../src/onnx/graph.ts'

interface Matrix {
  readonly shape: readonly number[]
  readonly values: () => Float32Array
  readonly type: FloatType
}

/**
 * A graph with the nodes of `quantize_dynamic` of onnxruntime, with `per_channel`: the rows of a
 * product become u8 with one scale per tensor, its weights int8 with one scale per column, also of
 * the gates. The weights are the −63..63 of our own int8; `reduce_range` has −64..64. Embedding and
 * head are int8 here only.
 */
export class QuantizedGraph extends Graph {
  /** Matrices that have no constant in the graph so far. */
  readonly #matrices = new Map<Value, Matrix>()
  /** Integers, scale and zero point of quantised rows. */
  readonly #rows = new Map<Value, readonly Value[]>()

  override constant(
    name: Value,
    shape: readonly number[],
    values: () => Float32Array,
    type: FloatType = 'f32',
  ): Value {
    if (shape.length < 2) return super.constant(name, shape, values, type)
    this.#matrices.set(name, { shape, values, type })
    return name
  }

  override nodes(
    op: string,
    inputs: readonly Value[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value[] {
    const [x, kernel, bias] = inputs as [Value, Value, Value?]
    const matrix = this.#matrices.get(kernel)
    if (matrix && (op === 'MatMul' || op === 'Gemm')) {
      const sum = this.#product(x, kernel, matrix)
      return [bias === undefined ? sum : this.node('Add', [sum, bias])]
    }
    for (const input of inputs) {
      const other = this.#matrices.get(input)
      if (other) super.constant(input, other.shape, other.values, other.type)
    }
    return super.nodes(op, inputs, count, attributes)
  }

  #product(x: Value, kernel: Value, { shape, values }: Matrix): Value {
    const columns = shape.at(-1)!
    const blocks = shape.length > 2 ? shape[0]! : 1
    const { values: integers, scales } = quantize(values(), columns, blocks)
    const [rows, scale, zero] = this.#quantizedRows(x) as [Value, Value, Value]
    const sum = this.node('MatMulInteger', [
      rows,
      this.int8(`${kernel} int8`, shape, integers),
      zero,
    ])
    const factor = this.node('Mul', [
      scale,
      super.constant(
        `${kernel} scales`,
        [blocks, 1, columns].slice(3 - shape.length),
        () => scales,
      ),
    ])
    return this.node('Mul', [this.node('Cast', [sum], { to: dataTypes.f32 }), factor])
  }

  #quantizedRows(x: Value): readonly Value[] {
    let rows = this.#rows.get(x)
    if (!rows) this.#rows.set(x, (rows = this.nodes('DynamicQuantizeLinear', [x], 3)))
    return rows
  }
}
