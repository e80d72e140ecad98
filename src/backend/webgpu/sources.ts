import attention from '../../../gpu/attention.wgsl'
import average from '../../../gpu/average.wgsl'
import blockLinear from '../../../gpu/blockLinear.wgsl'
import conv1d from '../../../gpu/conv1d.wgsl'
import layerNorm from '../../../gpu/layerNorm.wgsl'
import exponential from '../../../gpu/lib/exponential.wgsl'
import kernelOfHalves from '../../../gpu/lib/kernel.half.wgsl'
import kernel from '../../../gpu/lib/kernel.wgsl'
import norm from '../../../gpu/lib/norm.wgsl'
import rowsOfSubgroups from '../../../gpu/lib/rows.subgroups.wgsl'
import rows from '../../../gpu/lib/rows.wgsl'
import linear from '../../../gpu/linear.wgsl'
import patchify from '../../../gpu/patchify.wgsl'
import pool from '../../../gpu/pool.wgsl'
import rgLru from '../../../gpu/rgLru.wgsl'
import rmsNorm from '../../../gpu/rmsNorm.wgsl'
import softmax from '../../../gpu/softmax.wgsl'
import type { Op } from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'
import { tile } from './tile.ts'

/** The tile of linear and blockLinear. */
const product = tile({ sizes: 'p', x: 'x', kernel: 'kernel', epilogue: 'finish' })

/**
 * Each operation's kernel, behind the parts of gpu/lib that it calls. Declarations may stand in any
 * order; directives, which only `rows` has, come first.
 */
const sources: Record<Op, readonly string[]> = {
  patchify: [patchify],
  linear: [kernel, product, exponential, linear],
  blockLinear: [kernel, product, blockLinear],
  conv1d: [conv1d],
  rgLru: [rgLru],
  rmsNorm: [rows, norm, rmsNorm],
  layerNorm: [rows, norm, layerNorm],
  attention: [exponential, attention],
  pool: [pool],
  average: [average],
  softmax: [rows, softmax],
}

/**
 * The shader module of an operation.
 * @param subgroups the device has the feature of this name: rows are summed with it
 * @param dtype of the matrices
 */
export function sourceOf(op: Op, subgroups: boolean, dtype: MatrixDType): string {
  const choose = (part: string) => {
    if (subgroups && part === rows) return rowsOfSubgroups
    return dtype === 'f16' && part === kernel ? kernelOfHalves : part
  }
  return sources[op].map(choose).join('\n')
}
