/**
 * Runs the tests that need neither files nor processes, in any runtime; they are bundled once, with
 * the parts of vitest that run anywhere.
 *
 *     node test/platforms/run.mjs [--tags EXPRESSION] <runtime> [test…]
 *
 * runtime: `chromium` or `firefox` (browsers.mjs; needs npm install --prefix test/platforms), or a
 * command that runs a module, like `node`, `bun` or `deno run -A` in quotes. Tests are stems of
 * files in test/; by default all. EXPRESSION chooses tests by their tags, as vitest does, for
 * example '!(slow && gpu)'.
 * The GPU is the one that VK_DRIVER_FILES names; with GPU=required a test that is skipped counts as
 * failed. Ends with `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleTests } from './bundle.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** Seconds after which one test has failed, and after which the whole run has. */
const TEST = 240
const RUN = 1800

const hasTags = process.argv[2] === '--tags'
const tags = hasTags ? process.argv[3] : ''
const [runtime, ...only] = process.argv.slice(hasTags ? 4 : 2)
if (!runtime)
  throw new Error('Expected a runtime: chromium, firefox, or a command such as "deno run -A"')
const page = runtime === 'chromium' || runtime === 'firefox'
const file = `build/platforms/${page ? `${runtime}.js` : `${process.pid}.mjs`}`
const outfile = join(root, file)
const tests = only.length ? only : undefined
await bundleTests(outfile, { page, seconds: TEST, tests, tags })

const outcome = await Promise.race([
  page ? runInPage(runtime) : inProcess(runtime.split(' ')),
  new Promise((_, reject) =>
    setTimeout(
      () => reject(new Error(`${runtime} has not ended after ${RUN} seconds`)),
      RUN * 1000,
    ).unref(),
  ),
]).catch((error) => {
  console.log(`FAIL  ${error.message}`)
  return { passed: 0, failed: 1, skipped: 0 }
})
const failed = outcome.failed + (process.env.GPU === 'required' ? outcome.skipped : 0)
console.log(
  `${outcome.passed} passed, ${failed} ` +
    `failed${outcome.skipped ? ` (${outcome.skipped} skipped)` : ''}`,
)
process.exit(failed ? 1 : 0)

/** Runs the bundle with a command. */
async function inProcess([command, ...args]) {
  const child = spawn(command, [...args, outfile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: root,
  })
  process.on('exit', () => child.kill())
  let text = ''
  child.stdout.on('data', (part) => {
    text += part
    process.stdout.write(part)
  })
  const code = await new Promise((done, broken) => child.on('close', done).on('error', broken))
  const [, json] = /^outcome (\{.*\})$/m.exec(text) ?? []
  if (!json) throw new Error(`${command} ended with ${code} before all tests had run`)
  return JSON.parse(json)
}

/** Runs the bundle in a page. */
async function runInPage(name) {
  const { inPage } = await import('./browsers.mjs')
  return inPage(name, (page, version) => {
    console.log(`${name} ${version}`)
    return page.evaluate(
      async ({ path, timeout, tags }) => {
        await import(path)
        return globalThis.run((line) => console.log(line), timeout, tags)
      },
      { path: `/${file}`, timeout: TEST * 1000, tags },
    )
  })
}
