/**
 * Prints what this runtime makes of the models as one line of JSON: for Node, Deno and Bun (see
 * matrix.mjs).
 */
import { readFile } from 'node:fs/promises'
import * as inference from '../../dist/index.js'
import * as train from '../../dist/train/index.js'
import { answers } from './answers.mjs'

const read = (file) => readFile(new URL(`../../${file}`, import.meta.url))
console.log(`answers ${JSON.stringify(await answers({ ...inference, train }, read))}`)
process.exit()
