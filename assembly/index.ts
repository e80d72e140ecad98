/**
 * The whole of a program in one call: a table of steps in linear memory, walked from `begin` to `end`.
 *
 *   ┌────────┬───────┬───────────────────────────┐
 *   │ op i32 │ units │ arguments of that op       │  one step, STEP bytes
 *   └────────┴───────┴───────────────────────────┘
 *
 * Arguments stand in the order of the fields of the op's class: outputs, inputs, weights, sizes; pointers are absolute, those of states
 * relative to the stream's own memory. Strides and sizes count elements. The other side of this table is src/backend/wasm/encode.ts.
 */
import { attention, AttentionArgs } from './attention'
import { average, AverageArgs } from './average'
import { blockLinear, BlockLinearArgs } from './blockLinear'
import { conv1d, Conv1dArgs } from './conv1d'
import { layerNorm, LayerNormArgs } from './layerNorm'
import { linear, LinearArgs } from './linear'
import { patchify, PatchifyArgs } from './patchify'
import { pool, PoolArgs } from './pool'
import { rgLru, RgLruArgs } from './rgLru'
import { rmsNorm, RmsNormArgs } from './rmsNorm'
import { softmax, SoftmaxArgs } from './softmax'

export { packPanels, packRows } from './lib/pack'

const STEP: usize = 128

/** Where memory is free for programs, weights and states. */
export const heapBase: usize = __heap_base

/**
 * @param table first step of the program
 * @param state memory of the stream
 * @param frame frames of the stream since its reset
 */
export function run(table: usize, begin: i32, end: i32, state: usize, frame: f64): void {
  for (let index = begin; index < end; index++) {
    const step = table + <usize>index * STEP
    const units = load<i32>(step, 4)
    const args = step + 8
    switch (load<i32>(step)) {
      case 0: patchify(changetype<PatchifyArgs>(args), 0, units); break
      case 1: linear(changetype<LinearArgs>(args), 0, units); break
      case 2: blockLinear(changetype<BlockLinearArgs>(args), 0, units); break
      case 3: conv1d(changetype<Conv1dArgs>(args), state, 0, units); break
      case 4: rgLru(changetype<RgLruArgs>(args), state, frame == 0, 0, units); break
      case 5: rmsNorm(changetype<RmsNormArgs>(args), 0, units); break
      case 6: layerNorm(changetype<LayerNormArgs>(args), 0, units); break
      case 7: attention(changetype<AttentionArgs>(args), 0, units); break
      case 8: pool(changetype<PoolArgs>(args), 0, units); break
      case 9: average(changetype<AverageArgs>(args), state, frame, 0, units); break
      case 10: softmax(changetype<SoftmaxArgs>(args), 0, units); break
    }
  }
}
