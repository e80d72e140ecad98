/** A static server on loopback, as any host of pages is one. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'

const types = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/** Headers with which a page may share memory between threads. */
export const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

/**
 * @param folder what is served
 * @param options.headers beside the type of the content
 * @param options.pages text of pages by path, which need no file
 * @returns the address, and how to stop
 */
export async function serve(folder, { headers = {}, pages = {} } = {}) {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const body =
      pages[pathname] ??
      (await readFile(join(folder, decodeURIComponent(pathname))).catch(() => null))
    response.writeHead(body === null ? 404 : 200, {
      'content-type':
        pages[pathname] === undefined
          ? (types[extname(pathname)] ?? 'application/octet-stream')
          : 'text/html',
      ...headers,
    })
    response.end(body)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return { address: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
