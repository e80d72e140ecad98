/**
 * The demo page, where it was built.
 */
import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { serveStatic } from '@hono/node-server/serve-static'
import type { MiddlewareHandler } from 'hono'
import { demoPage } from '../../files.ts'

/** What answers requests for its files, or null if the page is not there. */
export async function openPage(folder: URL = demoPage): Promise<MiddlewareHandler | null> {
  const root = fileURLToPath(folder)
  const there = await access(root).then(
    () => true,
    () => false,
  )
  if (!there) return null
  const files = serveStatic({ root })
  return (c, next) => (c.req.method === 'GET' || c.req.method === 'HEAD' ? files(c, next) : next())
}
