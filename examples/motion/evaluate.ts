/**
 * node examples/motion/run.mjs evaluate [--model file] [--clips n] [--folder folder]: accuracy of
 * the built-in model on its videos, on fresh drawn clips, and on a folder with videos by class.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { TRecViT } from '../../src/index.ts'
import { openVideo, sample } from '../../src/video/index.ts'
import { LABELS } from './camera.ts'
import { StreamSource, VIEW } from './stream.ts'

/** Frames whose mean is an answer; as many are skipped after a change of the motion. */
const WINDOW = 8
/** Frames of a drawn clip. */
const FRAMES = 16

interface Truth {
  readonly segments: readonly {
    readonly label: string
    readonly first: number
    readonly last: number
  }[]
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/motion.safetensors' },
    clips: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '4000000000' },
    folder: { type: 'string' },
    each: { type: 'boolean', default: false },
  },
})
const model = await TRecViT.load(await readFile(values.model), { device: 'wasm' })
const stream = model.stream({ average: { frames: WINDOW }, topK: 1 })
/** Answers to first frames: how many, and how many of them were 'shake'. */
const firsts = { count: 0, shake: 0 }

/** The videos of the package, by the rule of test/builtin.test.ts. */
async function evaluateVideos(): Promise<void> {
  const text = await readFile('test/goldens/truth.json', 'utf8')
  const truths = JSON.parse(text) as Record<string, Truth>
  for (const [file, { segments }] of Object.entries(truths)) {
    const labels = await labelsOf(`models/${file}`)
    let [right, count] = [0, 0]
    for (const { label, first, last } of segments)
      for (let i = first + WINDOW; i <= last; i++, count++) right += +(labels[i] === label)
    print(file, right, count)
  }
}

/** Drawn clips of one class each: the answer for the mean over the whole clip. */
async function evaluateDrawn(clips: number): Promise<void> {
  const source = new StreamSource(Number(values.seed))
  const size = VIEW * VIEW * 3
  const found = new Confusion()
  for (let i = 0; i < clips; i++) {
    const { frames, labels } = source.draw(FRAMES, i % LABELS.length)
    let answer = ''
    await stream.reset()
    for (let frame = 0; frame < FRAMES; frame++) {
      const data = frames.subarray(frame * size, (frame + 1) * size)
      const { overall } = await stream.push({ data, shape: [VIEW, VIEW, 3] })
      answer = overall.top[0]!.label!
      if (frame === 0) countFirst(answer)
    }
    found.add(LABELS[labels[0]!]!, answer)
  }
  found.print(`${clips} drawn clips`)
}

/** Videos in a folder for each class: every frame but the first 8. */
async function evaluateFolder(folder: string): Promise<void> {
  const found = new Confusion()
  for (const label of LABELS) {
    const path = join(folder, label)
    for (const name of (await readdir(path).catch(() => [])).sort()) {
      const answers = (await labelsOf(join(path, name))).slice(WINDOW)
      for (const answer of answers) found.add(label, answer)
      const right = answers.filter((answer) => answer === label).length
      if (values.each)
        console.log(`${label}/${name} ${right}/${answers.length} ${[...new Set(answers)]}`)
    }
  }
  found.print('frames of the folder')
}

/** Returns the answers to all frames of a video. */
async function labelsOf(path: string): Promise<string[]> {
  const labels: string[] = []
  await stream.reset()
  for await (const frame of sample(await openVideo(path))) {
    const { top } = await stream.push(frame)
    labels.push(top[0]!.label!)
    if (labels.length === 1) countFirst(labels[0]!)
  }
  return labels
}

function countFirst(answer: string): void {
  firsts.count++
  firsts.shake += +(answer === 'shake')
}

/** Counts of answers by class. */
class Confusion {
  readonly #counts = LABELS.map(() => LABELS.map(() => 0))

  add(label: string, answer: string): void {
    this.#counts[LABELS.indexOf(label as never)]![LABELS.indexOf(answer as never)]!++
  }

  print(title: string): void {
    let [right, count] = [0, 0]
    for (const [i, row] of this.#counts.entries()) {
      const total = row.reduce((a, b) => a + b, 0)
      right += row[i]!
      count += total
      console.log(`  ${LABELS[i]!.padEnd(22)}${percent(row[i]!, total)}  ${row.join(' ')}`)
    }
    print(title, right, count)
  }
}

function print(title: string, right: number, count: number): void {
  console.log(`${title}: ${right} of ${count}, ${percent(right, count)}`)
}

function percent(right: number, count: number): string {
  return count ? `${((100 * right) / count).toFixed(1)} %` : '-'
}

await evaluateVideos()
if (Number(values.clips) > 0) await evaluateDrawn(Number(values.clips))
if (values.folder) await evaluateFolder(values.folder)
print('first frames that are not "shake"', firsts.count - firsts.shake, firsts.count)
await model.dispose()
