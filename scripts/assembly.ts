/**
 * Writes what the AssemblyScript side needs to know of the operations of src/program/ops: a class
 * with the arguments of each kernel, the codes of the table, and the call of each kernel.
 * build.mjs puts it into build/operations.ts, and that of training into build/train.
 */
import { readFile } from 'node:fs/promises'
import { STEP } from '../src/backend/wasm/encode.ts'
import { codeOf, descriptionOf, OPS } from '../src/program/describe.ts'
import type { Op } from '../src/program/program.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'

const classOf = (op: string): string => `${op[0]!.toUpperCase()}${op.slice(1)}Args`

function argsOf(op: Op): string {
  const { inputs, outputs, weights = {}, states = {}, fields, cpu = {} } = descriptionOf({ op })
  const views = [
    ...Object.keys(outputs).flatMap((out) => [`${out}: usize`, `${out}Stride: i32`]),
    ...Object.keys(inputs).flatMap((x) => [`${x}: usize`, `${x}Stride: i32`, `${x}Frame: i32`]),
  ]
  const before = [...Object.keys(weights), ...Object.keys(states)].map((name) => `${name}: usize`)
  const shared = fields.map((name) => `${name}: i32`)
  const pointers = (cpu.pointers ?? []).map((name) => `${name}: usize`)
  const own = (cpu.fields ?? []).map((name) => `${name}: i32`)
  const all = [...views, ...before, ...shared, ...pointers, ...own]
  return `@unmanaged\nexport class ${classOf(op)} {\n  ${all.join('\n  ')}\n}\n`
}

const enumOf = (op: Op): string => (TRAINING_OPS.includes(op) ? 'TrainingOp' : 'Op')

function caseOf(op: Op): string {
  const { states, cpu = {} } = descriptionOf({ op })
  const args = [
    `changetype<${classOf(op)}>(args)`,
    ...(states ? ['state'] : []),
    ...(cpu.scratch ? ['scratch'] : []),
    ...(cpu.also ? [cpu.also] : []),
    'begin, end',
  ]
  return `    case ${enumOf(op)}.${op}:\n      ${op}(${args.join(', ')})\n      break\n`
}

/** What every `compute` is given. */
const parameters = `
  step: usize,
  scratch: usize,
  state: usize,
  frame: f64,
  averageFrames: f64,
  begin: i32,
  end: i32,
`

/** The text of build/operations.ts. */
export const assembly: string = `// Written by scripts/assembly.ts from src/program/ops.
import { quantize, QuantizeArgs } from '../assembly/lib/quantize'
${OPS.map((op) => `import { ${op} } from '../assembly/${op}'\n`).join('')}
/** Bytes of a step in the table. */
export const STEP: usize = ${STEP}

/** Codes of the operations; quantize, which no program names, is the last. */
export const enum Op {
  ${[...OPS, 'quantize'].join(',\n  ')},
}

${OPS.map(argsOf).join('\n')}
/** Computes the units begin..end−1 of a step. */
export function compute(${parameters}): void {
  const args = step + 8
  switch (load<i32>(step)) {
${OPS.map(caseOf).join('')}    case Op.quantize:
      quantize(changetype<QuantizeArgs>(args), begin, end)
      break
  }
}
`

/** The text of build/train/operations.ts: more operations, whose codes follow. */
export const trainingAssembly: string = `\
// Written by scripts/assembly.ts from src/program/ops/train.
import { compute as inference } from '../operations'
${TRAINING_OPS.map((op) => `import { ${op} } from '../../assembly/train/${op}'\n`).join('')}
export { Op, STEP } from '../operations'

const enum TrainingOp {
  ${TRAINING_OPS.map((op) => `${op} = ${codeOf(op)}`).join(',\n  ')},
}

${TRAINING_OPS.map(argsOf).join('\n')}
/** Computes the units begin..end−1 of a step of training or of inference. */
export function compute(${parameters}): void {
  const args = step + 8
  switch (load<i32>(step)) {
${TRAINING_OPS.map(caseOf).join('')}    default:
      inference(step, scratch, state, frame, averageFrames, begin, end)
  }
}
`

/** The text of build/train/index.ts: assembly/index.ts with the operations of training. */
export async function trainingEntry(): Promise<string> {
  const entry = await readFile('assembly/index.ts', 'utf8')
  return entry
    .replace(`'../build/operations'`, `'./operations'`)
    .replaceAll(`'./lib/`, `'../../assembly/lib/`)
}
