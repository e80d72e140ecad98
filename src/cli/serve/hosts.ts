/**
 * Checks the "Host" header against DNS rebinding. In this attack a web page resolves its own host
 * name to 127.0.0.1. The browser then treats this server as the page's own origin, but sends that
 * name as "Host".
 */
import { isIP } from 'node:net'
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'

/** Loopback addresses, which other machines cannot reach. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

/** Unspecified addresses: the server listens on all addresses of the machine. */
const UNSPECIFIED = /^(0\.0\.0\.0|::)$/

/**
 * Refuses requests unless their host is a loopback name, the listening address, or one of the
 * allowed names; any port is allowed. Accepts requests without a host (HTTP/1.0): browsers always
 * send one.
 *
 * @param address the listening address; an unspecified one allows every IP address, because only
 * names can be rebound
 * @param names further allowed host names, in lower case
 */
export function allowHosts(address: string, names: readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    const header = c.req.header('Host')
    if (header === undefined) return next()
    const host = hostOf(header)
    const isAllowed =
      LOOPBACK.test(host) ||
      host === address.toLowerCase() ||
      names.includes(host) ||
      (UNSPECIFIED.test(address) && isIP(host) !== 0)
    if (!isAllowed) {
      const message =
        `The host ${quote(header)} is not allowed; use the address of this server, ` +
        'or start it with "--allow-host" and this name'
      throw new HTTPException(403, { message })
    }
    return next()
  }
}

/** Returns the host of a "Host" header: without port and IPv6 brackets, in lower case. */
function hostOf(header: string): string {
  const [, ipv6, name = ''] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::\d+)?$/i.exec(header) ?? []
  return (ipv6 ?? name.replace(/\.$/, '')).toLowerCase()
}
