/**
 * Results are bit-identical regardless of the split into chunks, concurrent streams and the format
 * of the pixels.
 */
import { describe, expect, test } from 'vitest'
import { expectedHash, runBuiltin } from '../src/cli/selfTest.ts'
import { frameSizeOf } from '../src/model/config.ts'
import type { Outputs } from '../src/stream/session.ts'
import { backends, tagsOf, threadedBackends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { loadModel, models, type SessionOptions } from './models.ts'
import { compositions, expectSame } from './ops.ts'

/** Outputs and states of a run. */
interface Run {
  readonly outputs: Outputs
  readonly states: Outputs
}

// Bit-identical results are guaranteed on the CPU only. A GPU driver may fuse and reorder
// operations (see webgpu.test.ts for its bounds).
describe.each([...backends.filter(({ name }) => name.startsWith('wasm')), ...threadedBackends])(
  '$name',
  (backend) => {
    const { create } = backend
    const sizes = models.filter(({ name }) => name !== 'mu')
    describe.each(sizes)('$name', { tags: tagsOf(backend) }, async ({ name, given }) => {
      const model = await loadModel(create, name, given)
      const { config } = model
      const video = Uint8Array.from((await Goldens.open(`${name}_io.npz`)).get('video').values)
      const size = frameSizeOf(config)
      /** Returns frames from..to−1 of the golden video. */
      const frames = (from: number, to: number) => video.subarray(from * size, to * size)

      /**
       * Runs one video from frame `first` in chunks of these sizes, and joins the outputs.
       */
      async function run(
        sizes: readonly number[],
        {
          first = 0,
          pixels = frames,
          ...options
        }: Partial<SessionOptions> & {
          first?: number
          pixels?: (from: number, to: number) => Uint8Array | Float32Array
        } = {},
      ): Promise<Run> {
        const session = model.session({ b: 1, recent: { frames: 2 }, encoded: true, ...options })
        const parts: Outputs[] = []
        for (const t of sizes)
          parts.push(
            (await session.advance(pixels(first + session.frame, first + session.frame + t), t))
              .outputs,
          )
        const { values } = await session.read()
        const states = Object.fromEntries(
          session.states.map((state, index) => [state.name, values[index]!]),
        )
        await session.dispose()
        return {
          outputs: Object.fromEntries(
            Object.keys(parts[0]!).map((output) => [
              output,
              Float32Array.from(parts.flatMap((part) => [...part[output]!])),
            ]),
          ),
          states,
        }
      }

      function expectSameRun(got: Run, want: Run, outputs = Object.keys(want.outputs)): void {
        for (const output of outputs)
          expectSame(output, got.outputs[output]!, want.outputs[output]!)
        for (const [state, values] of Object.entries(want.states))
          expectSame(state, got.states[state]!, values)
      }

      test('a clip has the bits of its frames one by one, and of any chunks', async () => {
        const whole = await run([6])
        expect(Object.keys(whole.outputs).sort()).toEqual([
          'encoded',
          'frame_features',
          'logits',
          'pre_logits',
          'probs',
          'recent/logits',
          'recent/pre_logits',
          'recent/probs',
        ])
        for (const sizes of compositions(6)) expectSameRun(await run(sizes), whole)
      })

      test('each video of a batch of three has the bits of a single video', async () => {
        const firsts = [0, 3, 7]
        const t = 4
        const session = model.session({ b: 3, recent: { halfLife: 3 }, encoded: true })
        // Two chunks, so that the results depend on the states of each video.
        const chunks = [
          [0, 3],
          [3, t],
        ] as const
        const parts: Outputs[] = []
        for (const [from, to] of chunks) {
          const pixels = Uint8Array.from(
            firsts.flatMap((first) => [...frames(first + from, first + to)]),
          )
          parts.push((await session.advance(pixels, to - from)).outputs)
        }
        const { values } = await session.read()
        for (const [index, first] of firsts.entries()) {
          const alone = await run([3, 1], { first, recent: { halfLife: 3 } })
          const mine = (all: Float32Array) =>
            all.subarray((index * all.length) / 3, ((index + 1) * all.length) / 3)
          const outputs = Object.fromEntries(
            Object.keys(alone.outputs).map((output) => [
              output,
              Float32Array.from(parts.flatMap((part) => [...mine(part[output]!)])),
            ]),
          )
          const states = Object.fromEntries(
            session.states.map((state, at) => [state.name, mine(values[at]!)]),
          )
          expectSameRun({ outputs, states }, alone)
        }
        await session.dispose()
      })

      test('an answer does not depend on whether encoded tokens are asked for', async () => {
        const [without, with_] = [await run([4, 2], { encoded: false }), await run([4, 2])]
        expectSameRun(without, with_, [
          'frame_features',
          'pre_logits',
          'logits',
          'probs',
          'recent/logits',
        ])
      })

      test('an answer does not depend on other averages', async () => {
        expectSameRun(
          { ...(await run([4, 2])), states: {} },
          { ...(await run([4, 2], { recent: 'all' })), states: {} },
        )
      })

      test('bytes are the same pixels as float32 byte / 255', async () => {
        expectSameRun(
          await run([4, 2], {
            pixels: (from, to) =>
              Float32Array.from(frames(from, to), (byte) => Math.fround(byte / 255)),
          }),
          await run([4, 2]),
        )
      })

      test('streams that alternate have the bits of single streams', async () => {
        const sessions = [0, 5].map(() =>
          model.session({ b: 1, recent: { frames: 2 }, encoded: true }),
        )
        const last: Outputs[] = []
        for (let frame = 0; frame < 4; frame++) {
          for (const [index, first] of [0, 5].entries())
            last[index] = (
              await sessions[index]!.advance(frames(first + frame, first + frame + 1), 1)
            ).outputs
        }
        for (const [index, first] of [0, 5].entries()) {
          const { outputs } = await run([1, 1, 1, 1], { first })
          expectSame(
            'logits',
            last[index]!['logits']!,
            outputs['logits']!.slice(-config.numClasses),
          )
          await sessions[index]!.dispose()
        }
      })

      test('a stream after a reset has the bits of a new one', async () => {
        const session = model.session({ b: 1, recent: { frames: 2 }, encoded: true })
        await session.advance(frames(6, 11), 5)
        await session.reset()
        const { outputs } = await session.advance(frames(0, 6), 6)
        await session.dispose()
        expectSameRun({ outputs, states: {} }, { ...(await run([6])), states: {} })
      })
    })
  },
)

test('the built-in model has the bits that it has in every runtime', async () => {
  expect((await runBuiltin()).hash).toBe(expectedHash)
})
