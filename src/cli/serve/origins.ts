/**
 * Decides which web pages may use the server. A browser lets any page send requests, and open
 * WebSockets, to its own machine. It sends the origin of the page with them. Other programs send no
 * origin.
 */
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'
import { JSON_LENGTH } from './tensors.ts'

/** @param origins allowed origins; that of the server is always allowed */
export function allowOrigins(origins: readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    const origin = c.req.header('Origin')
    if (origin === undefined || isOwn(origin, c.req.header('Host'))) return next()
    if (!origins.includes(origin))
      throw new HTTPException(403, {
        message:
          `Pages of ${quote(origin)} may not use this server; ` +
          'start it with "--allow-origin" and this origin to allow them',
      })
    const headers = {
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': JSON_LENGTH,
      Vary: 'Origin',
    }
    if (c.req.method === 'OPTIONS')
      return c.body(null, 204, {
        ...headers,
        'Access-Control-Allow-Methods': 'GET, POST',
        'Access-Control-Allow-Headers': `Authorization, Content-Type, ${JSON_LENGTH}`,
      })
    await next()
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    return undefined
  }
}

function isOwn(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host
}
