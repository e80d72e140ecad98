/** The text of docs/operations.md, which build.mjs writes from src/program/ops. */
import { readdir, readFile } from 'node:fs/promises'
import { descriptionOf, OPS } from '../src/program/describe.ts'
import type { Op } from '../src/program/program.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'

const FOLDER = 'src/program/ops'

const head = `# Operations

<!-- Written by scripts/reference.ts from ${FOLDER}. Do not edit. -->

A model is recorded with these operations (\`src/program/record.ts\`). Each has a kernel of its
name in \`assembly/\` and in \`gpu/\`, a float64 reference in \`test/reference.ts\` and a test of
its name. How to add one: [adding-an-operation.md](adding-an-operation.md).

Axes are letters with one value in a step, or products of them. Two axes are rows (all axes but the
last, flattened) and columns. \`b\` videos, \`t\` frames of a chunk, \`n\` tokens of a frame. ⊙ is
the product of elements.
`

const training = `# Operations of training

A \`TrainingRecorder\` (\`src/train/recorder.ts\`) also has these. Their kernels are in
\`assembly/train/\` and \`gpu/train/\`, and only the builds of \`trecvit/train\` have them. An
operation that ends in \`Gradient\` computes gradients of the loss: \`dy\` is that of the output
\`y\` of the operation whose name it begins with, \`dx\` that of its input \`x\`.
`

/** The operation's page: its comment, its method and the axes of everything that it reads. */
export async function reference(): Promise<string> {
  const entries = (await readdir(FOLDER, { recursive: true })).sort()
  const files = entries.filter((file) => file.endsWith('.ts'))
  const sources = await Promise.all(files.map((file) => readFile(`${FOLDER}/${file}`, 'utf8')))
  const all = sources.join('\n')
  const sectionsOf = (ops: readonly Op[]) => ops.map((op) => sectionOf(op, all))
  return [head, ...sectionsOf(OPS), training, ...sectionsOf(TRAINING_OPS)].join('\n')
}

function sectionOf(op: Op, sources: string): string {
  const described = descriptionOf({ op })
  const { inputs, weights = {}, writes = [], states = {}, params = [], outputs, fields } = described
  const start = sources.indexOf(`export const ${op}: `)
  const [from, to] = [sources.lastIndexOf('/**', start), sources.lastIndexOf('*/', start)]
  const text = sources
    .slice(from + 3, to)
    .replace(/^ *\* ?/gm, '')
    .trim()
  const types = sources.slice(sources.indexOf('[', start), sources.indexOf('> = {', start)).trim()
  const method = types.slice(1, -1).trim().replace(/,$/, '').replace(/\s+/g, ' ')
  const rows = [
    ...rowsOf('input', inputs),
    ...rowsOf('weight', weights as Readonly<Record<string, string>>, writes),
    ...rowsOf('state', states),
    ...rowsOf('output', outputs as Readonly<Record<string, string>>),
  ]
  return [
    `## ${op}\n`,
    `${folded(`\`ops.${op}(name, ${method})\``)}\n`,
    `${text}\n`,
    `${rows.join('\n')}\n`,
    ...(params.length ? [`Parameters: ${params.map((name) => `\`${name}\``).join(', ')}.\n`] : []),
    `Numbers of both kernels: ${fields.map((name) => `\`${name}\``).join(', ')}.\n`,
  ].join('\n')
}

/** Text in lines of at most 100 columns. */
const folded = (text: string): string => text.replace(/(.{1,100})( |$)/g, '$1\n').trimEnd()

function rowsOf(
  role: string,
  axes: Readonly<Record<string, string>>,
  writes: readonly string[] = [],
): string[] {
  return Object.entries(axes).map(([name, of]) => {
    const optional = of.endsWith('?') ? ', optional' : writes.includes(name) ? ', changed' : ''
    return `- ${role} \`${name}\` \`[${of.replace('?', '').replaceAll(' ', ', ')}]\`${optional}`
  })
}
