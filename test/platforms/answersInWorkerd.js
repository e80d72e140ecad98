/** A worker that answers with what workerd makes of the models. */

import * as inference from '../../dist/index.js'
import * as train from '../../dist/train/index.js'
import trainingModule from '../../dist/train/trecvit.wasm'
import wasmModule from '../../dist/trecvit.wasm'
import { answers } from './answers.mjs'

export default {
  async fetch(_, env) {
    const read = async (file) => (await env.files.fetch(`http://files/${file}`)).arrayBuffer()
    return Response.json(
      await answers({ ...inference, train }, read, {
        threads: [1],
        load: { wasmModule },
        training: { wasmModule: trainingModule },
        gpu: false,
      }).catch((error) => ({ error: error.stack })),
    )
  },
}
