/** Runs of a training: what they write at the end, after Ctrl-C, an error and from time to time. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { optimizerOf, type TrainingOptions } from '../src/cli/trainingOptions.ts'
import { readState, resumeCommand, runTraining, type Work } from '../src/cli/trainingRun.ts'

const folder = mkdtempSync(join(tmpdir(), 'trecvit-run-'))
const out = join(folder, 'out.safetensors')
const options = { out, quiet: true } as TrainingOptions
const text = () => readFileSync(out, 'utf8')

beforeEach(() => rmSync(out, { force: true }))
afterAll(() => rmSync(folder, { recursive: true }))

/** A training of four steps. `before` is called before each. */
function work(before: (step: number) => void = () => {}): Work & { disposed: boolean } {
  let done = 0
  async function* steps() {
    for (let step = 1; step <= 4; step++) {
      before(step)
      done = step
      yield { step, epoch: 1, loss: 1 / step, learningRate: 1, framesPerSecond: 1 }
    }
  }
  return {
    total: 4,
    steps: steps(),
    save: async () => Buffer.from(`state ${done}`),
    finish: async () => Buffer.from(`model ${done}`),
    draw: async (drawn) => `page of ${drawn.length} steps`,
    async dispose() {
      this.disposed = true
    },
    disposed: false,
  }
}

test('the model is written at the end', async () => {
  const own = work()
  const { signal } = new AbortController()
  expect(await runTraining(options, signal, async () => own)).toMatchObject({ step: 4 })
  expect(text()).toBe('model 4')
  expect(own.disposed).toBe(true)
})

test('a page that cannot be written does not cost the model', async () => {
  const { signal } = new AbortController()
  const html = { ...options, html: folder }
  await expect(runTraining(html, signal, async () => work())).rejects.toThrow(/is a directory/)
  expect(text()).toBe('model 4')
})

test('Ctrl-C writes the state, and says how to continue', async () => {
  const stop = new AbortController()
  const notes = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const own = work((step) => step === 2 && stop.abort())
  await runTraining({ ...options, quiet: false }, stop.signal, async () => own)
  expect(notes.mock.calls.flat().join('')).toMatch(
    /out.safetensors" has the state after step 2 of 4. Continue with: trecvit .*--resume/,
  )
  notes.mockRestore()
  expect(text()).toBe('state 2')
})

test('the page is written at the end', async () => {
  const html = join(folder, 'page.html')
  const { signal } = new AbortController()
  await runTraining({ ...options, html }, signal, async () => work())
  expect(readFileSync(html, 'utf8')).toBe('page of 4 steps')
})

test('Ctrl-C in the last step writes the model', async () => {
  const stop = new AbortController()
  const own = work((step) => step === 4 && stop.abort())
  await runTraining(options, stop.signal, async () => own)
  expect(text()).toBe('model 4')
})

test('an error writes the state before it', async () => {
  const { signal } = new AbortController()
  const failing = (at: number) =>
    work((step) => {
      if (step === at) throw new TrecvitError('Step 3 expected a finite loss')
    })
  await expect(runTraining(options, signal, async () => failing(3))).rejects.toThrow('finite loss')
  expect(text()).toBe('state 2')
  rmSync(out)
  await expect(runTraining(options, signal, async () => failing(1))).rejects.toThrow('finite loss')
  expect(existsSync(out)).toBe(false)
})

test('the state is written from time to time', async () => {
  const { signal } = new AbortController()
  const seen: string[] = []
  const own = work(() => seen.push(existsSync(out) ? text() : 'nothing'))
  await runTraining(options, signal, async () => own, 0)
  expect(seen).toEqual(['nothing', 'state 1', 'state 2', 'state 3'])
  expect(text()).toBe('model 4')
})

test('a file is replaced by --resume alone or --force', async () => {
  const { signal } = new AbortController()
  await runTraining(options, signal, async () => work())
  await expect(runTraining(options, signal, async () => work())).rejects.toThrow('exists already')
  await runTraining({ ...options, resume: true }, signal, async () => work())
})

test('a name of another format is refused before the training begins', async () => {
  const onnx = join(folder, 'new.onnx')
  const { signal } = new AbortController()
  const begin = vi.fn(async () => work())
  await expect(runTraining({ ...options, out: onnx }, signal, begin)).rejects.toThrow(
    /^"--out" expected a name that ends in \.safetensors, got ".*new\.onnx"; "trecvit convert" /,
  )
  expect(begin).not.toHaveBeenCalled()
  expect(existsSync(onnx)).toBe(false)
})

test('a state that is missing is named', async () => {
  await expect(readState(out)).rejects.toThrow(
    /out.safetensors" cannot be read to resume from \(ENOENT\); "--resume" continues from the file/,
  )
})

test('the command to continue is quoted for a shell', () => {
  expect(resumeCommand(['train', "it's here/", '-f', '-o', 'a.safetensors', '--resume'])).toBe(
    `trecvit train 'it'\\''s here/' -o a.safetensors --resume`,
  )
})

test('options of the command are those of the optimiser', () => {
  const schedule = { peak: 1e-3, warmup: 2, steps: 24 }
  const given = { weightDecay: 0.03, microBatch: 3, recompute: true, ema: 0.9, threads: 2 }
  expect(optimizerOf({ ...options, ...given }, schedule)).toEqual({
    ...{ schedule, weightDecay: 0.03, microBatch: 3, recompute: 'layer', ema: 0.9, threads: 2 },
  })
  expect(optimizerOf({ ...options, weightDecay: 0 }, schedule)).toEqual({
    schedule,
    weightDecay: 0,
  })
  const single = optimizerOf({ ...options, weightDecay: 0 }, { peak: 1e-3, steps: 1 })
  expect(single.schedule).toEqual({ peak: 1e-3, warmup: 0, steps: 1 })
})
