// For Deno: deno run --allow-net --allow-read --allow-env --node-modules-dir=manual server.js
// [port]
import { handle } from './handler.js'

Deno.serve({ hostname: '127.0.0.1', port: Number(Deno.args[0] ?? 8000) }, (request) =>
  handle(request),
)
