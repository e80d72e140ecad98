/**
 * The tensors of an encoder or a head: the parameters that a checkpoint holds (official names and
 * shapes), the weights that the graph reads (products that share their input lie side by side), and
 * how the second come from the first.
 */
import type { MatrixDType } from '../backend/backend.ts'
import { scalesOf, sizeOf, type Weight } from '../program/program.ts'

/** A tensor of a checkpoint. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
}

/**
 * Values of a parameter, row-major [blocks, rows, columns], from its element `from` on, that fill a
 * weight from column `at` on.
 */
export interface Part {
  readonly parameter: string
  readonly from: number
  readonly columns: number
  readonly at: number
}

/**
 * A weight of the graph and where it comes from: parts side by side, or a function of small
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
  /** In the order of the official configuration, on which the fingerprint of a model depends. */
  readonly parameters: Parameter[] = []
  readonly weights: WeightSource[] = []
  readonly #dtype: MatrixDType

  /** @param dtype number format of what `matrix` and `dense` add */
  constructor(dtype: MatrixDType) {
    this.#dtype = dtype
  }

  /** @returns the name */
  parameter(name: string, ...shape: number[]): string {
    this.parameters.push({ name, shape })
    return name
  }

  /** A weight [blocks, rows, columns] of parts side by side. */
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

  /** A weight of `rows` rows that is a function of small parameters. */
  derived(
    name: string,
    [rows, columns]: readonly [number, number],
    parameters: readonly string[],
    derive: (values: readonly Float32Array[]) => Float32Array,
  ): void {
    this.weights.push({ name, kind: 'rows', blocks: 1, rows, columns, parameters, derive })
  }

  /** A weight that is a matrix [rows, columns]. With int8, its scales are a weight of their own. */
  matrix(name: string, rows: number, columns: number, ...sources: Columns[]): void {
    const isInt8 = this.#dtype === 'int8'
    this.weight(isInt8 ? 'int8' : 'matrix', name, [1, rows, columns], ...sources)
    // The scales of a part come with its values.
    if (isInt8) this.weight('rows', scalesOf(name), [1, 1, columns])
  }

  /** A parameter that is one row, and a weight of the same name. */
  vector(name: string, columns: number): void {
    this.weight('rows', name, [1, 1, columns], [this.parameter(name, columns), columns])
  }

  /** [F] nn.LayerNorm. */
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
    this.matrix(`${name}/kernel`, sizeOf(inputs), all, ...sources('/kernel'))
    this.weight('rows', `${name}/bias`, [1, 1, all], ...sources('/bias'))
  }
}
