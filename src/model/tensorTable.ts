/**
 * The tensors of an encoder or a head: the parameters in a checkpoint (official names and shapes),
 * the weights that the graph reads (products with the same input are joined into one weight), and
 * how weights are made from parameters.
 */
import type { MatrixDType } from '../backend/backend.ts'
import { scalesOf, sizeOf, type Weight } from '../program/program.ts'

/** A tensor of a checkpoint. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
}

/**
 * Values of a parameter, row-major [blocks, rows, columns], from its element `from` on. They fill a
 * weight from column `at` on.
 */
export interface Part {
  readonly parameter: string
  readonly from: number
  readonly columns: number
  readonly at: number
}

/**
 * A weight of the graph and its source: parameters in adjacent columns, or a function of small
 * parameters.
 */
export type WeightSource = Weight &
  (
    | { readonly parts: readonly Part[] }
    | {
        readonly parameters: readonly string[]
        derive(values: readonly Float32Array[]): Float32Array
      }
  )

/** A parameter that fills some columns of a weight; `from` is its first element, 0 by default. */
type Columns = readonly [parameter: string, columns: number, from?: number]

export class TensorTable {
  /**
   * In the order of the official configuration. The fingerprint of a model depends on this order.
   */
  readonly parameters: Parameter[] = []
  readonly weights: WeightSource[] = []
  readonly #dtype: MatrixDType

  /** @param dtype number format of the weights that `matrix` and `dense` add */
  constructor(dtype: MatrixDType) {
    this.#dtype = dtype
  }

  /**
   * Adds a parameter.
   * @returns its name
   */
  parameter(name: string, ...shape: number[]): string {
    this.parameters.push({ name, shape })
    return name
  }

  /** Adds a weight [blocks, rows, columns] with parameters in adjacent columns. */
  weight(
    kind: Weight['kind'],
    name: string,
    [blocks, rows, columns]: readonly [number, number, number],
    ...sources: Columns[]
  ): void {
    let at = 0
    const parts = sources.map(([parameter, width, from = 0]) => ({
      parameter,
      from,
      columns: width,
      at: (at += width) - width,
    }))
    this.weights.push({ name, kind, blocks, rows, columns, parts })
  }

  /** Adds a weight of `rows` rows that is a function of small parameters. */
  derived(
    name: string,
    [rows, columns]: readonly [number, number],
    parameters: readonly string[],
    derive: (values: readonly Float32Array[]) => Float32Array,
  ): void {
    this.weights.push({ name, kind: 'rows', blocks: 1, rows, columns, parameters, derive })
  }

  /**
   * Adds a weight that is a matrix in each block, [blocks, rows, columns]. With int8, its scales
   * [blocks, columns] are a weight of their own.
   */
  matrix(name: string, shape: readonly [number, number, number], ...sources: Columns[]): void {
    const isInt8 = this.#dtype === 'int8'
    const [blocks, , columns] = shape
    this.weight(isInt8 ? 'int8' : 'matrix', name, shape, ...sources)
    // The scales of a part are written together with its values.
    if (isInt8) this.weight('rows', scalesOf(name), [blocks, 1, columns])
  }

  /** Adds a parameter that is one row, and a weight of the same name. */
  vector(name: string, columns: number): void {
    this.weight('rows', name, [1, 1, columns], [this.parameter(name, columns), columns])
  }

  /** Adds the tensors of [F] nn.LayerNorm. */
  layerNorm(name: string, columns: number): void {
    this.vector(`${name}/scale`, columns)
    this.vector(`${name}/bias`, columns)
  }

  /** [F] nn.Dense, or several layers of the same size as one product. */
  dense(
    name: string,
    inputs: readonly number[],
    outputs: readonly number[],
    layers: readonly string[] = [name],
  ): void {
    for (const layer of layers) {
      this.parameter(`${layer}/kernel`, ...inputs, ...outputs)
      this.parameter(`${layer}/bias`, ...outputs)
    }
    const columns = sizeOf(outputs)
    const all = layers.length * columns
    const sources = (role: string) => layers.map((layer): Columns => [layer + role, columns])
    this.matrix(`${name}/kernel`, [1, sizeOf(inputs), all], ...sources('/kernel'))
    this.weight('rows', `${name}/bias`, [1, 1, all], ...sources('/bias'))
  }
}
