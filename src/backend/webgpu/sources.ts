import shaders from '../../../build/shaders.txt'
import type { Op } from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'

/** For each file of gpu/: the names of the parts in gpu/lib that it calls, and its WGSL. */
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
 * @param subgroups whether the device has the feature `subgroups`, which `rows` uses for sums
 * @param dtype number format of the matrices
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
