/** A server of weights by name, for TRECVIT_MIRROR: the built-in model as .npz. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programs } from './runtimes.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Starts a server whose every file is the built-in model.
 * @param folder where the .npz is written
 * @param classes how many the model has; if not its own 10, the head is random
 * @returns the address of the folder, and how to stop
 */
export async function startMirror(folder, classes = 10) {
  const npz = join(folder, 'mirrored.npz')
  const convert = `
    import { writeFileSync } from 'node:fs'
    import { encodeNpz } from '${root}src/checkpoint/npy.ts'
    import { openCheckpoint } from '${root}dist/index.js'
    const checkpoint = await openCheckpoint('${root}models/motion.safetensors')
    const arrays = []
    for (const { name, shape } of checkpoint.tensors.values()) {
      const isHead = ${classes} !== 10 && name.startsWith('decoder/cls_head/')
      const ours = isHead ? [...shape.slice(0, -1), ${classes}] : shape
      const data = new Float32Array(ours.reduce((product, side) => product * side, 1))
      if (isHead) data.forEach((_, index) => (data[index] = Math.random() - 0.5))
      else await checkpoint.read(name, (values, at) => data.set(values, at))
      arrays.push([name, { data, shape: ours }])
    }
    writeFileSync('${npz}', encodeNpz(arrays))`
  execFileSync(programs['Node 24'][0], ['--input-type=module', '--eval', convert])
  const bytes = readFileSync(npz)
  const server = createServer(({ headers }, response) => {
    const [, start = 0] = /^bytes=(\d+)-/.exec(headers.range ?? '') ?? []
    response.writeHead(headers.range ? 206 : 200, {
      ETag: '"mirrored"',
      'Accept-Ranges': 'bytes',
      'Access-Control-Allow-Origin': '*',
      'Content-Length': bytes.length - start,
      'Content-Range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    })
    response.end(bytes.subarray(Number(start)))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return {
    address: `http://127.0.0.1:${server.address().port}/`,
    close: () => server.close(),
  }
}
