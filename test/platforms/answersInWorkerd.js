/** A worker that answers with what workerd makes of the models. */
import wasm from '../../dist/trecvit.wasm'
import { TRecViT } from '../../dist/index.js'
import { answers } from './answers.mjs'

export default {
  async fetch(_, env) {
    const read = async (file) => (await env.files.fetch(`http://files/${file}`)).arrayBuffer()
    return Response.json(await answers(TRecViT, read, { threads: [1], load: { wasm }, gpu: false }).catch((error) => ({ error: error.stack })))
  },
}
