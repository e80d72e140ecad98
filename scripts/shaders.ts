/**
 * Writes the kernels of gpu/ as one text, which src/backend/webgpu/sources.ts takes apart: of each
 * file its name, the files of gpu/lib that it calls, and its WGSL with its parameters declared.
 * build.mjs puts it into build/shaders.txt, and that of training into build/train.
 */
import { readdir, readFile } from 'node:fs/promises'
import { descriptionOf, OPS } from '../src/program/describe.ts'
import type { Op } from '../src/program/program.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'
import { expand } from './template.ts'

/** The fields of `struct Params` of an operation, in the order of `Call.params`. */
export function fieldsOf(op: Op): string[] {
  const { inputs, outputs, fields, gpu } = descriptionOf({ op })
  const views = [
    ...Object.keys(outputs).flatMap((out) => [`${out}Offset`, `${out}Stride`]),
    ...Object.keys(inputs).flatMap((x) => [`${x}Offset`, `${x}Stride`, `${x}Frame`]),
  ]
  return ['count', ...fields, ...(gpu?.fields ?? []), ...views]
}

/** The declaration of the numbers `p` of an operation. */
export function paramsOf(op: Op): string {
  const fields = fieldsOf(op).map((field) => `  ${field}: u32,\n`)
  return `struct Params {\n${fields.join('')}}\n\n@group(0) @binding(0) var<uniform> p: Params;\n`
}

/** Arguments of the templates in gpu/lib, by file: what each means stands in its first lines. */
export const ARGUMENTS = {
  tile: { sizes: 'p', x: 'x', kernel: 'kernel', epilogue: 'finish' },
  quads: { sizes: 'p', x: 'x', out: 'out', epilogue: 'scaled' },
}

/** The text of build/shaders.txt. */
export function shaders(): Promise<string> {
  return shadersOf('gpu', OPS)
}

/** The text of build/train/shaders.txt. Its kernels may call the parts of gpu/lib, too. */
export function trainingShaders(): Promise<string> {
  return shadersOf('gpu/train', TRAINING_OPS)
}

async function shadersOf(folder: string, ops: readonly Op[]): Promise<string> {
  const read = (name: string) => readFile(`${folder}/${name}.wgsl`, 'utf8')
  const files = await readdir(`${folder}/lib`).catch(() => [])
  const parts = files
    .map((file) => file.slice(0, -'.wgsl'.length))
    .sort()
    .map(async (name) => {
      const names = ARGUMENTS[name as keyof typeof ARGUMENTS] ?? {}
      return [name, '', expand(await read(`lib/${name}`), names)]
    })
  const kernels = ops.map(async (op) => {
    const code = await read(op)
    const line = /^\/\/ With (.*)\.$/m.exec(code)?.[1] ?? ''
    const called = [...line.matchAll(/lib\/(\w+)\.wgsl/g)].map(([, name]) => name)
    return [op, called.join(' '), `${code}\n${paramsOf(op)}`]
  })
  return (await Promise.all([...parts, ...kernels])).flat().join('\f')
}
