import shaders from '../../../build/shaders.txt'
import type { KernelOp } from '../../program/describe.ts'
import type { MatrixDType } from '../backend.ts'
import type { MatrixParts } from './encode.ts'

/** For each file of gpu/: the parts (files of a folder lib) that it calls, and its WGSL. */
const sources = new Map<string, { readonly calls: string; readonly code: string }>()
addShaders(shaders)

/** Adds kernels and parts, as scripts/shaders.ts writes them. */
export function addShaders(text: string): void {
  const texts = text.split('\f')
  for (let i = 0; i < texts.length; i += 3)
    sources.set(texts[i]!, { calls: texts[i + 1]!, code: texts[i + 2]! })
}

/**
 * Returns the shader of an operation, with the parts that it calls. Declarations may have any
 * order; directives, which only `rows` has, come first.
 * @param features of the device and of WGSL: `rows` uses subgroups for sums, int8 products use
 * packed dot products
 * @param dtype number format of the matrix
 * @param matrix parts for matrix units, in place of others
 */
export function sourceOf(
  op: KernelOp,
  features: readonly string[],
  dtype: MatrixDType,
  matrix?: MatrixParts,
): string {
  const packed = features.includes('packed_4x8_integer_dot_product')
  const variants: Record<string, string> = {
    ...(features.includes('subgroups') && { rows: 'rows.subgroups' }),
    ...(dtype === 'f16' && { kernel: 'kernel.half' }),
    ...(dtype === 'int8' && {
      kernel: `kernel.int8 dots${packed ? '.packed' : ''}`,
      ...{ blocks: 'blocks.int8', gates: 'gates.int8 words' },
      tile: packed ? 'tile.int8' : 'tile.bytes',
      few: 'few.int8',
    }),
  }
  const { calls, code } = sources.get(op)!
  const parts = calls ? calls.split(' ').flatMap((part) => (variants[part] ?? part).split(' ')) : []
  const codes = parts.map((part) => matrix?.parts[part] ?? sources.get(part)!.code)
  return [...(matrix ? [matrix.head] : []), ...codes, code].join('\n')
}
