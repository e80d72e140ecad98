/**
 * What README.md and the pages that it links promise, in an empty project with the packed package
 * and nothing else, each in under ten lines: Kinetics by name, a folder as CSV, a timeline over a
 * <video>, an ONNX file in onnxruntime, and a page with a webcam.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { blocksOf } from '../../.ci/markdown.mjs'
import { launch, show } from './documentedPage.mjs'
import { startMirror } from './mirror.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const blocks = (file) => blocksOf(readFileSync(join(root, file), 'utf8'))
const commands = blocks('README.md')
  .filter(({ marks }) => marks.includes('run'))
  .flatMap(({ code }) => code.split('\n'))

/** Returns the only command of the README with this option. */
function commandWith(option) {
  const found = commands.filter((line) => line.includes(option))
  assert.equal(found.length, 1, `README.md has ${found.length} commands with ${option}`)
  return found[0]
}

/** Asserts that a code block is short, apart from its import map. */
function short(code) {
  const script = /<script[^>]*module">\n(.*?)<\/script>/s.exec(code)?.[1] ?? code
  const lines = script.split('\n').filter((line) => line.trim())
  assert(lines.length < 10, `${lines.length} lines:\n${script}`)
  return code
}

/** Runs all of it. @param folder the project, where the package was installed */
export async function useProject(folder) {
  const mirror = await startMirror(folder, 400)
  const environment = {
    ...process.env,
    PATH: [join(folder, 'node_modules/.bin'), process.env.PATH].join(delimiter),
    TRECVIT_MIRROR: mirror.address,
    TRECVIT_CACHE: join(folder, 'cache'),
  }
  const run = async (...command) => {
    const { stdout } = await promisify(execFile)(command[0], command.slice(1), {
      cwd: folder,
      env: environment,
    })
    return stdout
  }
  const shell = (line) => run('bash', '-euo', 'pipefail', '-c', line)
  const text = (name) => readFileSync(join(folder, name), 'utf8')
  const clip = join(root, 'models/short.webm')
  cpSync(join(root, 'models/tour.mp4'), join(folder, 'clip.mp4'))
  mkdirSync(join(folder, 'clips'))
  for (const name of ['one.webm', 'two.webm']) cpSync(clip, join(folder, 'clips', name))

  const answer = await shell(commandWith('--model k400'))
  const actions = readFileSync(join(root, 'models/kinetics400.txt'), 'utf8').trim().split('\n')
  assert(
    actions.some((label) => answer.includes(label)),
    answer,
  )
  assert(readdirSync(join(folder, 'cache')).includes('trecvit_B_k400.npz'))

  await shell(commandWith('--csv'))
  const rows = text('labels.csv').trim().split('\n')
  assert.equal(rows.length, 3)
  // In the order in which they are done.
  for (const name of ['one', 'two'])
    assert(
      rows.some((row) => new RegExp(`${name}\\.webm,\\w`).test(row)),
      rows.join('\n'),
    )

  await shell(commandWith('--vtt'))
  const browser = await launch()
  const captions = blocks('docs/timeline.md').find(({ code }) => code.includes('<track'))
  await show(browser, short(captions.code), folder, captions.prints)

  await shell(commandWith('.onnx'))
  symlinkSync(
    join(root, 'bench/peers/node_modules/onnxruntime-node'),
    join(folder, 'node_modules/onnxruntime-node'),
  )
  const [example] = blocks('docs/onnx.md').filter(({ language }) => language === 'js')
  writeFileSync(join(folder, 'onnx.js'), short(example.code))
  const probs = (await run(process.execPath, 'onnx.js')).match(/\d\.\d+(e-\d+)?/g).map(Number)
  const sum = probs.reduce((sum, prob) => sum + prob, 0)
  assert(probs.length === 10 && Math.abs(sum - 1) < 1e-5, `probabilities ${probs}`)

  const webcam = blocks('README.md').find(({ language }) => language === 'html')
  await show(browser, short(webcam.code), folder, webcam.prints)
  await browser.close()
  mirror.close()
}
