/**
 * Runs the code blocks of README.md and docs as they stand. The words behind the language of a
 * block say where: `node`, `deno`, `chromium` (a whole page with `html`, a module of one with
 * `js`), `run` (a shell), or `ci` (another check of .ci/run does it). A comment
 * `<!-- prints: text -->` before a block names what its output must contain. Blocks without an
 * error within a minute pass.
 *
 * Each block has a folder of its own with the built package, `clip.mp4`, `clip.vtt`, `clips/`,
 * `actions/` with a folder for each class, and `model.safetensors`. Weights by name come from a
 * local server, and `trecvit serve` listens on port 8000. Needs a build, and npm install --prefix
 * test/platforms.
 *
 *     node test/platforms/docs.mjs [file of Markdown...]
 */
import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { blocksOf, pages } from '../../.ci/markdown.mjs'
import { launch, show } from './documentedPage.mjs'
import { startMirror } from './mirror.mjs'

const SECONDS = 180
const root = fileURLToPath(new URL('../../', import.meta.url))
const installed = join(root, 'test/platforms/node_modules')
const node = join(installed, 'node24/bin/node')
const deno = join(installed, '@deno/linux-x64-glibc/deno')
const home = mkdtempSync(join(tmpdir(), 'trecvit-docs-'))

const mirror = await startMirror(home)
const environment = {
  ...process.env,
  TRECVIT_MIRROR: mirror.address,
  TRECVIT_CACHE: join(home, 'cache'),
  PATH: [join(home, 'bin'), join(installed, 'node24/bin'), process.env.PATH].join(delimiter),
}
mkdirSync(join(home, 'bin'))
symlinkSync(join(root, 'dist/cli/index.js'), join(home, 'bin/trecvit'))
symlinkSync(deno, join(home, 'bin/deno'))

const captions = join(home, 'clip.vtt')
execFileSync(node, [join(home, 'bin/trecvit'), 'classify', '--quiet', '--vtt', captions])

/** Makes the folder of a block. */
function folderOf(name) {
  const folder = join(home, name)
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
  mkdirSync(join(folder, 'clips'))
  symlinkSync(root, join(folder, 'node_modules/trecvit'))
  symlinkSync(join(root, 'dist/cli/index.js'), join(folder, 'node_modules/.bin/trecvit'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  cpSync(join(root, 'models/tour.mp4'), join(folder, 'clip.mp4'))
  cpSync(captions, join(folder, 'clip.vtt'))
  cpSync(join(root, 'models/tour.mp4'), join(folder, 'clips/tour.mp4'))
  for (const [label, clip] of [
    ['wave', 'tour.mp4'],
    ['clap', 'short.webm'],
  ]) {
    mkdirSync(join(folder, 'actions', label), { recursive: true })
    cpSync(join(root, 'models', clip), join(folder, 'actions', label, clip))
  }
  cpSync(join(root, 'models/motion.safetensors'), join(folder, 'model.safetensors'))
  return folder
}

/** Resolves with what a command printed. */
function output(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: environment, detached: true })
    let printed = ''
    child.stdout.on('data', (part) => (printed += part))
    child.stderr.on('data', (part) => (printed += part))
    const timer = setTimeout(() => {
      printed += `\nnot ended after ${SECONDS} s`
      process.kill(-child.pid)
    }, SECONDS * 1000)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      if (code === 0) resolve(printed)
      else reject(new Error(printed))
    })
  })
}

function script(code, folder, file, command, args) {
  writeFileSync(join(folder, file), code)
  return output(command, [...args, file], folder)
}

let browser
async function page(html, folder, prints) {
  browser ??= await launch()
  return show(browser, html, folder, prints, SECONDS)
}

const imports = JSON.stringify({
  imports: {
    trecvit: '/node_modules/trecvit/dist/index.js',
    'trecvit/video': '/node_modules/trecvit/dist/video/index.js',
    'trecvit/motion': '/node_modules/trecvit/dist/motion.js',
  },
})
const moduleIn = (code) =>
  `<!doctype html><body><script type="importmap">${imports}</script>` +
  `<script type="module">${code}\nconsole.log('the module has ended')</script>`

/** Runs a block where a word of its info string says, and resolves with its output. */
const runners = {
  node: ({ code }, folder) => script(code, folder, 'block.js', node, []),
  deno: ({ code }, folder) => script(code, folder, 'deno.js', deno, ['run', '-A']),
  run: ({ code }, folder) => script(code, folder, 'block.sh', 'bash', ['-euo', 'pipefail']),
  chromium: ({ language, code, prints }, folder) =>
    language === 'html'
      ? page(code, folder, prints)
      : page(moduleIn(code), folder, prints || 'the module has ended'),
}

const server = spawn(process.execPath, [join(home, 'bin/trecvit'), 'serve', '--quiet'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
})
const isReady = () =>
  fetch('http://127.0.0.1:8000/v2/health/ready').then(
    ({ ok }) => ok,
    () => false,
  )
while (!(await isReady())) {
  if (server.exitCode !== null) throw new Error('trecvit serve has ended: is port 8000 free?')
  await new Promise((done) => setTimeout(done, 100))
}
let passed = 0
let failed = 0
const wanted = process.argv.length > 2 ? process.argv.slice(2) : pages()
for (const file of wanted) {
  for (const block of blocksOf(readFileSync(join(root, file), 'utf8'))) {
    for (const place of block.marks.filter((mark) => mark in runners)) {
      const where = `${file}:${block.line} ${place}`
      const folder = folderOf(where.replace(/\W+/g, '-'))
      try {
        const printed = await runners[place](block, folder)
        if (!printed.includes(block.prints)) throw new Error(`${printed}\nwithout: ${block.prints}`)
        console.log(`ok    ${where}`)
        passed++
      } catch (error) {
        console.log(`FAIL  ${where}\n${error.message.slice(0, 2000)}`)
        failed++
      }
    }
  }
}
await browser?.close()
server.kill()
mirror.close()
rmSync(home, { recursive: true, force: true })
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed || !passed ? 1 : 0
