/** The frames that a client keeps: which answers it takes, and what it forgets. */
import { expect, test } from 'vitest'
import type { RemoteAnswer } from '../src/client/answer.ts'
import { KeptFrames } from '../src/client/kept.ts'

const answer = (frame: number): RemoteAnswer => ({
  ...{ frame, label: null, index: 0, prob: 1, partial: false, top: [] },
  probs: new Float32Array(1),
})

/** Keeps so many frames, all of which are sent to a server that has none. */
function sent(count: number): { kept: KeptFrames; given: number[] } {
  const kept = new KeptFrames({ frames: 100, bytes: 1e6 })
  const given: number[] = []
  for (let i = 0; i < count; i++)
    void kept.push(new Uint8Array(1)).then(({ frame }) => given.push(frame))
  kept.begin(0, false)
  while (kept.next());
  return { kept, given }
}

test('an answer that comes twice, too early or for no frame is a fault', async () => {
  const { kept, given } = sent(2)
  expect(kept.answer(answer(0))).toBeNull()
  const fault = (frame: number) => `the server was to answer frame 1, and answered frame ${frame}`
  expect(kept.answer(answer(0))).toBe(fault(0))
  expect(kept.answer(answer(2))).toBe(fault(2))
  expect(kept.answer(answer(1))).toBeNull()
  expect(kept.answer(answer(2))).toBe('the server was to answer frame 2, and answered frame 2')
  await Promise.resolve()
  expect(given).toEqual([0, 1])
})

test('after a loss the server answers some frames again, and each is given once', async () => {
  const { kept, given } = sent(3)
  for (const frame of [0, 1]) kept.answer(answer(frame))
  kept.save(1)
  expect(kept.begin(0, false)).toBe('the servers have lost frames 0 to 0, which were saved')
  expect(kept.begin(3, false)).toBe('the server has 3 frames, and this client 2 answers')
  expect(kept.begin(1, false)).toBeNull()
  while (kept.next());
  expect([1, 2].map((frame) => kept.answer(answer(frame)))).toEqual([null, null])
  await Promise.resolve()
  expect(given).toEqual([0, 1, 2])
})

test('a frame without an answer is kept, whatever the server says that it saved', () => {
  const { kept } = sent(3)
  kept.answer(answer(0))
  kept.save(3)
  expect([kept.saved, kept.end]).toEqual([1, 3])
})
