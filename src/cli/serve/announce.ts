/**
 * Prints where the server listens.
 */
import type { AddressInfo } from 'node:net'
import type { TRecViT } from '../../model/trecvit.ts'
import { deviceOf } from '../model.ts'
import type { GlobalOptions } from '../run.ts'
import { note, print } from '../terminal.ts'
import type { NamedSource } from './models.ts'

/** Options that affect the announcement. */
interface AnnounceOptions extends GlobalOptions {
  readonly token?: string
  readonly accessLog?: boolean
}

/** Prints the addresses of the server. Warns if other machines can reach it. */
export function announce(
  options: AnnounceOptions,
  sources: readonly NamedSource[],
  models: ReadonlyMap<string, TRecViT>,
  { address, port }: AddressInfo,
): void {
  const base = `http://${address.includes(':') ? `[${address}]` : address}:${port}/`
  if (!/^(127\.|::1$)/.test(address) && !options.quiet) {
    note(
      options.token === undefined
        ? `warning: everybody who can reach ${address} can use this server; ` +
            'it asks for no password ' +
            'and does not encrypt'
        : `warning: the connection to ${address} is not encrypted; use a proxy with TLS, ` +
            'or others can read the token',
    )
  }
  const loaded = sources.map(({ name, source }) => ({ name, source, model: models.get(name)! }))
  if (options.json) {
    const rows = loaded.map(({ name, source, model: { fingerprint, device } }) => {
      return { name, source, fingerprint, device }
    })
    print(JSON.stringify({ address: base, models: rows }))
    return
  }
  // With an access log, standard output contains only the log.
  const write = options.accessLog ? note : print
  const lines = loaded.map(({ name, source, model }) => {
    return `${base}v2/models/${encodeURIComponent(name)}  ${source} on ${deviceOf(model)}`
  })
  write([`${base}  (Ctrl-C ends it)`, ...lines].join('\n'))
}
