import shaders from '../../../build/shaders.txt'
import type { Op } from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'

/** Of each file of gpu/ the names of the parts of gpu/lib that it calls, and its WGSL. */
const sources = new Map<string, { readonly calls: string; readonly code: string }>()
const texts = shaders.split('\f')
for (let i = 0; i < texts.length; i += 3)
  sources.set(texts[i]!, { calls: texts[i + 1]!, code: texts[i + 2]! })

/**
 * The shader module of an operation, behind the parts that it calls. Declarations may stand in any
 * order; directives, which only `rows` has, come first.
 * @param subgroups the device has the feature of this name: rows are summed with it
 * @param dtype of the matrices
 */
export function sourceOf(op: Op, subgroups: boolean, dtype: MatrixDType): string {
  const variants: Record<string, string> = {
    ...(subgroups && { rows: 'rows.subgroups' }),
    ...(dtype === 'f16' && { kernel: 'kernel.half' }),
  }
  const { calls, code } = sources.get(op)!
  const parts = calls ? calls.split(' ') : []
  return [...parts.map((part) => sources.get(variants[part] ?? part)!.code), code].join('\n')
}
