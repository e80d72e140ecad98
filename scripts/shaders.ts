/**
 * Writes the kernels of gpu/ as one text, which src/backend/webgpu/sources.ts takes apart: of each
 * file its name, the files of gpu/lib that it calls, and its WGSL with its parameters declared.
 * build.mjs puts it into build/shaders.txt.
 */
import { readdir, readFile } from 'node:fs/promises'
import { descriptionOf, OPS } from '../src/program/describe.ts'
import type { Op } from '../src/program/program.ts'
import { tile } from './tile.ts'

/** The fields of `struct Params` of an operation, in the order of `Call.params`. */
export function fieldsOf(op: Op): string[] {
  const { inputs, fields, gpu } = descriptionOf({ op })
  const views = ['out', ...Object.keys(inputs)].flatMap((name) => [
    `${name}Offset`,
    `${name}Stride`,
  ])
  return ['count', ...fields, ...(gpu?.fields ?? []), ...views]
}

/** The declaration of the numbers `p` of an operation. */
export function paramsOf(op: Op): string {
  const fields = fieldsOf(op).map((field) => `  ${field}: u32,\n`)
  return `struct Params {\n${fields.join('')}}\n\n@group(0) @binding(0) var<uniform> p: Params;\n`
}

/** The tile of linear and blockLinear. */
const PRODUCT = { sizes: 'p', x: 'x', kernel: 'kernel', epilogue: 'finish' }

/** The text of build/shaders.txt. */
export async function shaders(): Promise<string> {
  const library = (await readdir('gpu/lib')).map((file) => file.slice(0, -'.wgsl'.length)).sort()
  const parts = library.map(async (name) => {
    const code = await read(`lib/${name}`)
    return [name, '', name === 'tile' ? tile(code, PRODUCT) : code]
  })
  const kernels = OPS.map(async (op) => {
    const code = await read(op)
    const line = /^\/\/ With (.*)\.$/m.exec(code)?.[1] ?? ''
    const called = [...line.matchAll(/lib\/(\w+)\.wgsl/g)].map(([, name]) => name)
    return [op, called.join(' '), `${code}\n${paramsOf(op)}`]
  })
  return (await Promise.all([...parts, ...kernels])).flat().join('\f')
}

const read = (name: string): Promise<string> => readFile(`gpu/${name}.wgsl`, 'utf8')
