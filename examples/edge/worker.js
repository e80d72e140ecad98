// For workerd, which imports WebAssembly as compiled modules.
import wasmModule from 'trecvit/trecvit.wasm'
import { handle } from './handler.js'

export default { fetch: (request) => handle(request, { wasmModule }) }
