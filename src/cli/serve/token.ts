/**
 * Bearer tokens (RFC 6750).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'

/**
 * Refuses requests without the token in "Authorization: Bearer TOKEN". Paths that end in "/stream"
 * also accept `?token=TOKEN`, because web pages cannot set headers of a WebSocket.
 */
export function requireToken(token: string): MiddlewareHandler {
  const wanted = digest(token)
  return async (c, next) => {
    const [, sent] = /^Bearer +(\S+) *$/i.exec(c.req.header('Authorization') ?? '') ?? []
    const given = sent ?? (c.req.path.endsWith('/stream') ? c.req.query('token') : undefined)
    // Digests have equal lengths, so the time of the comparison reveals nothing about the token.
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return next()
    const message =
      given === undefined
        ? 'This server needs a token; send it in the header "Authorization: Bearer TOKEN"'
        : 'The token is not the one that this server was started with'
    throw new HTTPException(401, { message })
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
