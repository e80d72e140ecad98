/**
 * Prints what this runtime makes of videos as one line of JSON: for Node, Deno and Bun (see
 * frames.mjs).
 */
import { readFile } from 'node:fs/promises'
import * as video from '../../dist/video/index.js'
import { tensors } from './tensors.mjs'

const read = (file) => readFile(new URL(`../../${file}`, import.meta.url))
console.log(`answers ${JSON.stringify(await tensors(video, read))}`)
process.exit()
