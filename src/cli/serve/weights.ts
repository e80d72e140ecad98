/**
 * Serves downloaded weights to the demo page, which cannot fetch them from their host (CORS).
 */
import { basename, dirname } from 'node:path'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { type Kept, list } from '../../weights/cache.ts'
import { known, type Weights } from '../../weights/known.ts'

/** A weights file in the list for the page. */
interface Offered {
  /** Path relative to /weights. */
  readonly file: string
  readonly kept: Kept
  readonly weights: Weights
}

/** Routes that list and send the weights files in the cache. */
export function weightsRoutes(): Hono {
  const app = new Hono()
  app.get('/', async (c) => {
    const all = await offered()
    return c.json(
      all.map(({ file, kept, weights: { name, about, licence } }) => {
        return { name, file, form: kept.form, bytes: kept.bytes, about, licence }
      }),
    )
  })
  app.get('/:file', async (c, next) => {
    const file = c.req.param('file')
    const found = (await offered()).find((one) => one.file === file)
    if (found) {
      const { path } = found.kept
      return serveStatic({ root: dirname(path), path: basename(path) })(c, next)
    }
    const error = `"${file}" is not in the cache of this server: run "trecvit pull"`
    return c.json({ error }, 404)
  })
  return app
}

async function offered(): Promise<Offered[]> {
  const all = await Promise.all(
    known.map(async (weights) =>
      (await list(weights)).map((kept) => {
        const ending = kept.form === 'f32' ? 'npz' : `${kept.form}.safetensors`
        return { file: `${weights.name}.${ending}`, kept, weights }
      }),
    ),
  )
  return all.flat()
}
