/** What chromium.mjs runs: posts the curve to its server, line by line. */
import { COLUMNS, DEFAULTS, learn, rowOf } from './fromScratch.ts'

const given = [...new URLSearchParams(location.search)].map(([name, x]) => [name, Number(x)])
const post = (body: string) => fetch('/line', { method: 'POST', body })

try {
  await post(COLUMNS)
  for await (const progress of learn({ ...DEFAULTS, ...Object.fromEntries(given) }))
    await post(rowOf(progress))
  await fetch('/end', { method: 'POST' })
} catch (error) {
  await fetch('/end', { method: 'POST', body: String(error) })
}
