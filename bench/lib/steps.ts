import { columnsOf, inputsOf, rowsOf, sizeOf, statesOf, weightsOf, type Step, type Tensor } from '../../src/program/program.ts'

/** What a step is, wherever in the model it stands: its operation, for products with the name of the matrix. */
export function kindOf(step: Step): string {
  if (step.op !== 'linear') return step.op
  return `linear ${step.weights.kernel.name.replace(/\/kernel$/, '').split('/').pop()}`
}

/** Bytes that a step has to read and write at least once. */
export function trafficOf(step: Step): number {
  const tensor = (x: Tensor) => rowsOf(x) * columnsOf(x) * (x.buffer.dtype === 'u8' ? 1 : 4)
  return [...inputsOf(step), step.output].reduce((sum, x) => sum + tensor(x), 0) +
    weightsOf(step).reduce((sum, { blocks, rows, columns }) => sum + 4 * blocks * rows * columns, 0) +
    statesOf(step).reduce((sum, { shape }) => sum + 8 * sizeOf(shape), 0)
}
