/** Ways to wait for results of a GPU: their results, and the choice from timings that are given. */
import { expect, test } from 'vitest'
import { faster } from '../src/backend/webgpu/chooseWait.ts'
import { Submits } from '../src/backend/webgpu/submits.ts'
import { COPY_DST, COPY_SRC } from '../src/backend/webgpu/usage.ts'
import { plain, resting, scoped, submitting, type Wait } from '../src/backend/webgpu/wait.ts'
import { userAgent } from '../src/platform/platform.ts'
import { adapter, openDevice } from './gpu.ts'

const usual: Wait = { sleepsBefore: false, map: async () => {} }
const other: Wait = { sleepsBefore: true, map: async () => {} }

/** Chooses, where read-backs take these milliseconds, the first of which are slower. */
async function choose(before: readonly number[], after: readonly number[]): Promise<string> {
  const times = new Map([
    [usual, [50, ...before]],
    [other, [100, ...after]],
  ])
  const chosen = await faster(usual, other, async (wait) => times.get(wait)!.shift()!)
  expect([...times.values()]).toEqual([[], []])
  return chosen === other ? 'other' : 'usual'
}

test('the other way is chosen where it saves the wait for the next look at fences', async () => {
  expect(await choose([2.1, 1.9, 2.3, 0.4, 2.0], [0.3, 0.2, 0.3, 0.4, 4])).toBe('other')
})

test('the usual way stays without a clear gain', async () => {
  expect(await choose([0.3, 0.3, 0.3, 0.3, 0.3], [0.1, 0.1, 0.1, 0.1, 0.1])).toBe('usual')
  expect(await choose([20, 22, 19, 21, 20], [19, 18, 19, 20, 18])).toBe('usual')
  expect(await choose([1, 1, 1, 1, 1], [3, 3, 3, 3, 3])).toBe('usual')
})

// Deno and Firefox answer popErrorScope before they look for finished work.
if (adapter && !/Firefox|Deno/.test(userAgent()))
  test('results are those of the submit, whichever way is used', { tags: 'gpu' }, async () => {
    const device = await openDevice()
    const buffer = device.createBuffer({ size: 4, usage: COPY_SRC | COPY_DST })
    let value = 0
    for (const wait of [plain, resting, scoped(device), submitting(device)]) {
      const submits = new Submits(device, wait)
      const run = submits.paced()
      for (let round = 0; round < 20; round++) {
        const write = () => device.queue.writeBuffer(buffer, 0, Uint32Array.of(++value))
        const [bytes] = await run([{ buffer, offset: 0, bytes: 4 }], write)
        expect(new Uint32Array(bytes!)).toEqual(Uint32Array.of(value))
      }
      submits.dispose()
    }
    device.destroy()
    await device.lost
    for (const wait of [plain, resting, scoped(device)])
      await expect(
        new Submits(device, wait).run([{ buffer, offset: 0, bytes: 4 }], () => {}),
      ).rejects.toThrow()
  })
