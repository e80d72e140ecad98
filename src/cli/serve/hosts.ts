/**
 * Host names that the server answers to. Any web page can give its own name the address 127.0.0.1
 * (DNS rebinding). The browser then takes this server for the page's own, but sends that name as
 * "Host".
 */
import { isIP } from 'node:net'
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'

/** Loopback addresses, to which no other machine can send. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

/** Addresses that stand for every address of a machine. */
const UNSPECIFIED = /^(0\.0\.0\.0|::)$/

/**
 * Refuses requests with another host than a loopback name, the address listened on, or one of the
 * allowed names, whatever the port. Clients that send no host (HTTP/1.0) are no browsers.
 *
 * @param address the address listened on; one that stands for all allows every IP address, which
 *   needs no name that could be rebound
 * @param names other host names that are allowed, in lower case
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

/** The host of a header "Host" without its port, without the brackets of IPv6, in lower case. */
function hostOf(header: string): string {
  const [, ipv6, name = ''] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::\d+)?$/i.exec(header) ?? []
  return (ipv6 ?? name.replace(/\.$/, '')).toLowerCase()
}
