/**
 * node examples/motion/run.mjs pretrain: trains the encoder of the small model on drawn clips
 * without labels, as a masked auto-encoder; then compares read-outs of this and of the random
 * encoder, and training of all parameters from both. Prints curves as CSV.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import {
  decoderFor,
  initialise,
  initialiseMasked,
  loadParameters,
  MaskedTrainer,
  type Parameters,
  Trainer,
} from '../../src/train/index.ts'
import { Random } from '../../src/train/random.ts'
import { startWithFilters } from './filters.ts'
import { batchOf, heldOut, SMALL } from './small.ts'
import { StreamSource } from './stream.ts'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1000' },
    'fine-tune': { type: 'string', default: '600' },
    readout: { type: 'string', default: '60' },
    visible: { type: 'string', default: '4' },
    batch: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    out: { type: 'string', default: 'build/pretrain.csv' },
  },
})
const [batch, seed, threads] = [Number(values.batch), Number(values.seed), Number(values.threads)]
const view = { view: SMALL.imageSize[0], plain: true }
const shared = { ...view, perScene: 64, scenes: 64 }
const held = heldOut(view)
const lines = ['run,step,cpu_seconds,loss,held_out']
const begin = process.cpuUsage()

/** Both encoders begin with these parameters. */
const start = startWithFilters(initialise(SMALL, seed), SMALL, seed)
const learnt = await pretrain(Number(values.steps))
await readOut('read-out of the random encoder', start)
await readOut('read-out of the pre-trained encoder', learnt)
await learn('all parameters from the pre-trained encoder', learnt, Number(values['fine-tune']))
await learn('all parameters from random ones', start, Number(values['fine-tune']))

/** Trains a masked auto-encoder, and returns the parameters with its encoder. */
async function pretrain(steps: number): Promise<Parameters> {
  const decoder = decoderFor(SMALL)
  const first = new Map([...initialiseMasked(SMALL, decoder, seed), ...start])
  const trainer = await MaskedTrainer.create(SMALL, decoder, first, {
    schedule: { peak: 2e-3, warmup: 50, steps },
    clip: 1,
    threads,
  })
  const source = new StreamSource(seed + 1, shared)
  const random = new Random(seed)
  const patches = (SMALL.imageSize[0] / SMALL.patchSize[0]) ** 2
  const mask = () =>
    Array.from(random.permutation(patches).subarray(0, Number(values.visible))).sort(
      (a, b) => a - b,
    )
  for (let step = 1; step <= steps; step++) {
    const { frames } = batchOf(source, batch)
    const { loss } = await trainer.step({ frames, visible: Array.from({ length: batch }, mask) })
    if (step % 50 === 0) log('masked', step, loss)
  }
  const encoder = await loadParameters(await trainer.encoder(), SMALL)
  await trainer.dispose()
  return new Map([...start, ...encoder])
}

/** Trains the head on the frozen features of 1500 clips. */
async function readOut(name: string, parameters: Parameters): Promise<void> {
  const trainer = await Trainer.create(SMALL, parameters, {
    schedule: { peak: 3e-3, warmup: 20, steps: Number(values.readout) * 47 },
    trains: (weight) => weight.startsWith('decoder/'),
    labelSmoothing: 0.05,
    threads,
  })
  const clips = heldOut(view, 1500, 3_000_000_000)
  let last = 0
  for await (const { loss } of trainer.fit(clips, { epochs: Number(values.readout), batch: 32 }))
    last = loss
  log(name, trainer.steps, last, (await trainer.evaluate(held, { batch: 20 })).top1)
  await trainer.dispose()
}

/** Trains all parameters. */
async function learn(name: string, parameters: Parameters, steps: number): Promise<void> {
  const trainer = await Trainer.create(SMALL, parameters, {
    schedule: { peak: 2e-3, warmup: 50, steps },
    labelSmoothing: 0.05,
    threads,
  })
  const source = new StreamSource(seed + 2, shared)
  for (let step = 1; step <= steps; step++) {
    const { loss } = await trainer.step(batchOf(source, batch))
    if (step % 100 && step < steps) continue
    log(name, step, loss, (await trainer.evaluate(held, { batch: 20 })).top1)
    await writeFile(values.out, `${lines.join('\n')}\n`)
  }
  await trainer.dispose()
}

function log(run: string, step: number, loss: number, top1?: number): void {
  const { user, system } = process.cpuUsage(begin)
  const cpu = ((user + system) / 1e6).toFixed(1)
  lines.push([run, step, cpu, loss.toFixed(4), top1?.toFixed(4) ?? ''].join(','))
  process.stderr.write(`${lines.at(-1)}\n`)
}
