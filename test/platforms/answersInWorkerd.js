/** A worker that answers with what workerd makes of the models. */

import { TRecViT } from '../../dist/index.js'
import wasmModule from '../../dist/trecvit.wasm'
import { answers } from './answers.mjs'

export default {
  async fetch(_, env) {
    const read = async (file) => (await env.files.fetch(`http://files/${file}`)).arrayBuffer()
    return Response.json(
      await answers(TRecViT, read, { threads: [1], load: { wasmModule }, gpu: false }).catch(
        (error) => ({ error: error.stack }),
      ),
    )
  },
}
