/**
 * Prints what this runtime makes of the models as one line of JSON: for Node, Deno and Bun (see
 * matrix.mjs).
 */
import { readFile } from 'node:fs/promises'
import { TRecViT } from '../../dist/index.js'
import { answers } from './answers.mjs'

console.log(
  'answers ' +
    `${JSON.stringify(await answers(TRecViT, (file) => readFile(new URL(`../../${file}`, import.meta.url))))}`,
)
process.exit()
