/**
 * The demo page, if it is built.
 */
import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { serveStatic } from '@hono/node-server/serve-static'
import type { MiddlewareHandler } from 'hono'
import { demoPage } from '../../files.ts'

/** Returns a handler that serves the files of the demo page, or null if it is not built. */
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
