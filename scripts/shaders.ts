/**
 * Writes the kernels of gpu/ as one text, which src/backend/webgpu/sources.ts takes apart: of each
 * file its name, the parts (files of a folder lib) that it calls, and its WGSL with its parameters
 * declared.
 * build.mjs puts it into build/shaders.txt, that of training into build/train, that of matrix units
 * into build/matrix, and that of fused steps into build/fused.
 */
import { readdir, readFile } from 'node:fs/promises'
import {
  addDescriptions,
  descriptionOf,
  type FusedOp,
  type KernelOp,
  OPS,
} from '../src/program/describe.ts'
import * as fused from '../src/program/ops/fused.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'
import { expand } from './template.ts'

/** The fields of `struct Params` of an operation, in the order of `Call.params`. */
export function fieldsOf(op: KernelOp): string[] {
  const { inputs, outputs, fields, gpu } = descriptionOf({ op })
  const views = [
    ...Object.keys(outputs).flatMap((out) => [`${out}Offset`, `${out}Stride`]),
    ...Object.keys(inputs).flatMap((x) => [`${x}Offset`, `${x}Stride`, `${x}Frame`]),
  ]
  return ['count', ...fields, ...(gpu?.fields ?? []), ...views]
}

/** The declaration of the numbers `p` of an operation. */
export function paramsOf(op: KernelOp): string {
  const fields = fieldsOf(op).map((field) => `  ${field}: u32,\n`)
  return `struct Params {\n${fields.join('')}}\n\n@group(0) @binding(0) var<uniform> p: Params;\n`
}

const floats = {
  ...{ sizes: 'p', x: 'x', kernel: 'kernel', epilogue: 'finish' },
  ...{ times: '$1 * $2', turns: 'QUADS', turn: 'i', part: '$1' },
  ...{ begin: '', columns: '', given: '$1' },
}
/** Normalises the rows of x (gpu/fused/normLinear.wgsl). */
const norm = {
  ...floats,
  begin: 'combine($1, $2);',
  columns: 'let scale = scaleAt($1, $2); let shift = shiftAt($1, $2);',
  given: 'normalised($1, $2, scale, shift)',
}
const int8 = { ...floats, times: 'products($1, $2)' }
/** Without packed dot products, a turn multiplies one byte of each number. */
const bytes = { ...floats, turns: '4u * QUADS', turn: '(i / 4u)', part: 'byteOf($1, i)' }

/**
 * Arguments of the templates in gpu/lib, by file: what each means stands in its first lines. The
 * part of a file is `<file>` or `<file>.<variant>`.
 */
export const ARGUMENTS: Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>
> = {
  tile: { tile: floats, 'tile.int8': int8, 'tile.bytes': bytes, 'tile.norm': norm },
  few: { few: floats, 'few.int8': int8 },
  matrix: { matrix: floats },
  half: { half: floats },
  split: { split: floats },
  integer: { integer: floats },
  quads: { quads: { sizes: 'p', x: 'x' } },
  storeQuads: { storeQuads: { sizes: 'p', out: 'out', epilogue: 'scaled' } },
}

/** The text of build/shaders.txt. */
export function shaders(): Promise<string> {
  return shadersOf('gpu', [...OPS, 'quantize'])
}

/** The text of build/matrix/shaders.txt: parts for matrix units, in place of those of gpu/lib. */
export function matrixShaders(): Promise<string> {
  return shadersOf('gpu/matrix', [])
}

/** The text of build/fused/shaders.txt. Its kernels call the parts of gpu/fused/lib and gpu/lib. */
export function fusedShaders(): Promise<string> {
  addDescriptions(fused)
  return shadersOf('gpu/fused', Object.keys(fused) as FusedOp[])
}

/** The text of build/train/shaders.txt. Its kernels may call the parts of gpu/lib, too. */
export function trainingShaders(): Promise<string> {
  return shadersOf('gpu/train', TRAINING_OPS)
}

async function shadersOf(folder: string, ops: readonly KernelOp[]): Promise<string> {
  const read = (name: string) => readFile(`${folder}/${name}.wgsl`, 'utf8')
  const files = await readdir(`${folder}/lib`).catch(() => [])
  const parts = files
    .map((file) => file.slice(0, -'.wgsl'.length))
    .sort()
    .flatMap((name) =>
      Object.entries(ARGUMENTS[name] ?? { [name]: {} }).map(async ([part, names]) => [
        part,
        '',
        expand(await read(`lib/${name}`), names),
      ]),
    )
  const kernels = ops.map(async (op) => {
    const code = await read(op)
    const line = /^\/\/ With (lib[\s\S]*?\.wgsl)\.$/m.exec(code)?.[1] ?? ''
    const called = [...line.matchAll(/lib\/([\w.]+)\.wgsl/g)].map(([, name]) => name)
    return [op, called.join(' '), `${code}\n${paramsOf(op)}`]
  })
  return (await Promise.all([...parts, ...kernels])).flat().join('\f')
}
