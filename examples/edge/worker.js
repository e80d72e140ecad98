// For workerd, where WebAssembly comes compiled.
import wasmModule from 'trecvit/trecvit.wasm'
import { handle } from './handler.js'

export default { fetch: (request) => handle(request, { wasmModule }) }
