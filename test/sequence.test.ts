/** The three steps of a save: what is written, and when. */
import { expect, test } from 'vitest'
import { MemoryStore } from '../src/cli/serve/sequences/memoryStore.ts'
import type { Sequence } from '../src/cli/serve/sequences/sequence.ts'
import type { Owned } from '../src/cli/serve/sequences/store.ts'
import { decodeSnapshot } from '../src/stream/snapshot.ts'
import { noise } from './commandLine.ts'
import { FRAME, model, sequencesOf } from './serving.ts'
import { until, useServer } from './sockets.ts'

useServer()

/** Opens a stream, and records the lines for its client and the writes to its store. */
async function opened() {
  const lines: object[] = []
  /** The number of frames of each write, and the one in its snapshot. */
  const written: [number, number][] = []
  const gate = { open: Promise.resolve() }
  const store = new MemoryStore(4)
  const { open } = store
  store.open = async (claim) => {
    const owned = (await open.call(store, claim)) as Owned
    const save: Owned['save'] = async (frame, state) => {
      written.push([frame, decodeSnapshot(state).header.frame])
      await gate.open
      await owned.save(frame, state)
    }
    return { ...owned, save }
  }
  const sequences = sequencesOf({ store })
  const asked = { id: 'cam-7', key: 'secret', start: true }
  const room = { frames: 1000, bytes: 1e9 }
  const options = { average: 'all', topK: 1, room } as const
  const client = { send: (line: object) => void lines.push(line), fail: () => {} }
  const sequence = await sequences.openStream(model, 'tiny', asked, options, client)
  return { sequences, sequence, lines, written, gate }
}

async function push(sequence: Sequence, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await sequence.stream.push({ data: noise(FRAME, i), shape: [16, 16, 3] })
    sequence.pushed(FRAME)
  }
}

/** Lets work that is under way go on. */
const later = () => new Promise((resolve) => setTimeout(resolve, 30))

test('a snapshot is written with its own number of frames, however many came since', async () => {
  const { sequences, sequence, lines, written } = await opened()
  await push(sequence, 3)
  sequence.save('request')
  await push(sequence, 2)
  expect(lines).toEqual([{ saving: 3 }])
  sequence.answered(3)
  expect(await until(() => lines.length > 1)).toBe(true)
  expect(written).toEqual([
    [0, 0],
    [3, 3],
  ])
  expect(lines).toEqual([{ saving: 3 }, { saved: 3 }])
  await sequences.close(sequence)
})

test('nothing is written before the client has all answers of a snapshot', async () => {
  const { sequences, sequence, written } = await opened()
  await push(sequence, 3)
  sequence.save('request')
  sequence.answered(2)
  await later()
  expect(written, 'the writes after 2 of 3 answers').toEqual([[0, 0]])
  sequence.answered(3)
  expect(await until(() => written.length > 1)).toBe(true)
  await sequences.close(sequence)
})

test('the client is told that frames are saved only after the write', async () => {
  const { sequences, sequence, lines, written, gate } = await opened()
  await push(sequence, 3)
  let finish = () => {}
  gate.open = new Promise((resolve) => (finish = resolve))
  sequence.save('request')
  sequence.answered(3)
  expect(await until(() => written.length > 1)).toBe(true)
  await later()
  expect(lines, 'the lines during the write').toEqual([{ saving: 3 }])
  finish()
  expect(await until(() => lines.length > 1)).toBe(true)
  expect(lines[1]).toEqual({ saved: 3 })
  await sequences.close(sequence)
})
