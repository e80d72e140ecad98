/**
 * node examples/motion/run.mjs scratch: learns camera motion from random parameters, with a small
 * model and the trainer of the library. Prints a curve as CSV.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { initialise, Trainer } from '../../src/train/index.ts'
import { startWithFilters } from './filters.ts'
import { batchOf, heldOut, SMALL } from './small.ts'
import { StreamSource } from './stream.ts'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1500' },
    batch: { type: 'string', default: '32' },
    peak: { type: 'string', default: '2e-3' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    random: { type: 'boolean', default: false },
    hard: { type: 'boolean', default: false },
    out: { type: 'string', default: 'build/scratch.csv' },
  },
})
const [steps, batch, seed] = [Number(values.steps), Number(values.batch), Number(values.seed)]
const random = initialise(SMALL, seed)
const start = values.random ? random : startWithFilters(random, SMALL, seed)
const trainer = await Trainer.create(SMALL, start, {
  schedule: { peak: Number(values.peak), warmup: 50, steps },
  labelSmoothing: 0.05,
  threads: Number(values.threads),
})
const options = { view: SMALL.imageSize[0], perScene: 8, plain: !values.hard }
const source = new StreamSource(seed, options)
const held = heldOut(options)
const lines = ['step,frames,cpu_seconds,loss,accuracy,held_out']
const begin = process.cpuUsage()
let [loss, right, count] = [0, 0, 0]
for (let step = 1; step <= steps; step++) {
  const { frames, targets } = batchOf(source, batch)
  const result = await trainer.step({ frames, targets })
  loss += result.loss
  for (const [i, label] of targets.entries()) {
    const row = result.logits.data.subarray(10 * i, 10 * i + 10)
    right += +(row[label]! === Math.max(...row))
  }
  count += batch
  const every = step < 200 ? 20 : 50
  if (step % every && step < steps) continue
  const { user, system } = process.cpuUsage(begin)
  const evaluated = step % 100 === 0 || step === steps
  const top1 = evaluated ? (await trainer.evaluate(held, { batch: 40 })).top1.toFixed(4) : ''
  const mean = (loss / (count / batch)).toFixed(4)
  const cpu = ((user + system) / 1e6).toFixed(1)
  lines.push([step, step * batch * 8, cpu, mean, (right / count).toFixed(4), top1].join(','))
  process.stderr.write(`${lines.at(-1)}\n`)
  ;[loss, right, count] = [0, 0, 0]
  if (evaluated) await writeFile(values.out, `${lines.join('\n')}\n`)
}
await trainer.dispose()
