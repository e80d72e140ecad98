/** What axe says of a page. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Asserts that axe finds nothing in a state of a page, not even of minor impact. */
export async function accessible(page, state) {
  await page.evaluate((source) => {
    if ('axe' in globalThis) return
    const script = document.createElement('script')
    script.textContent = source
    document.head.append(script)
  }, axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run())
  assert.deepEqual(
    violations.map(({ id, impact, nodes }) => `${state}: ${id} (${impact}): ${nodes[0].html}`),
    [],
  )
}

/** The same in light and dark, with the button of the page. */
export async function accessibleInBoth(page, state) {
  for (let theme = 0; theme < 2; theme++) {
    await accessible(page, state)
    await page.click('#theme')
  }
}
