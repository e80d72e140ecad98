/**
 * The parameters and the weights of a whole model: those of its encoder, then those of its head.
 */
import type { MatrixDType } from '../backend/backend.ts'
import { type Config, encoderOf } from './config.ts'
import { encoderTensors } from './encoder/tensors.ts'
import { classificationTensors } from './heads/classification.ts'
import type { Parameter, TensorTable, WeightSource } from './tensorTable.ts'

/** Returns every tensor in a checkpoint of this configuration, with official names and shapes. */
export function parametersOf(config: Config): Parameter[] {
  return tablesOf(config).flatMap(({ parameters }) => parameters)
}

/**
 * Returns every weight that the graph of this configuration reads.
 * @param dtype number format of the matrices
 */
export function weightTable(config: Config, dtype?: MatrixDType): WeightSource[] {
  return tablesOf(config, dtype).flatMap(({ weights }) => weights)
}

/**
 * Returns the parameters that int8 quantises, as arrays [blocks, rows, columns]. Each block has its
 * own scales.
 */
export function int8Parameters(
  config: Config,
): Map<string, { readonly blocks: number; readonly columns: number }> {
  const found = new Map<string, { readonly blocks: number; readonly columns: number }>()
  for (const weight of weightTable(config, 'int8')) {
    if (weight.kind !== 'int8' || !('parts' in weight)) continue
    for (const { parameter, columns } of weight.parts)
      found.set(parameter, {
        blocks: (found.get(parameter)?.blocks ?? 0) + weight.blocks,
        columns,
      })
  }
  return found
}

function tablesOf(config: Config, dtype: MatrixDType = 'f32'): TensorTable[] {
  return [encoderTensors(encoderOf(config), dtype), classificationTensors(config)]
}
