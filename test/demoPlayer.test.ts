/** Seeking in the player of the demo page, without a page. */
import { expect, test, vi } from 'vitest'
import type { Engine } from '../examples/demo/engine.ts'
import type { Insight } from '../examples/demo/insight.ts'
import { openAtFirst } from '../examples/demo/opened.ts'
import { Player } from '../examples/demo/player.ts'

const RATE = 30

/** A video of grey pictures of 2 × 2 pixels. */
function grey(seconds: number): Blob {
  const frame = `FRAME\n${'P'.repeat(6)}`
  return new Blob([`YUV4MPEG2 W2 H2 F${RATE}:1 C420jpeg\n`, frame.repeat(seconds * RATE)])
}

/** An engine whose stream counts its frames. A snapshot is their number. */
function counter() {
  const stream = {
    frame: 0,
    push: async () => ({ frame: stream.frame++, top: [], overall: { top: [] } }),
    reset: async () => void (stream.frame = 0),
    snapshot: async () => Uint8Array.of(stream.frame),
  }
  const goBack = async ([frames]: Uint8Array) => void (stream.frame = frames!)
  return { stream, goBack, watchDevice() {} } as unknown as Engine
}

test('a stream that starts over uses no snapshot of one that began in mid-video', async () => {
  vi.stubGlobal('location', { href: 'http://localhost/' })
  vi.stubGlobal('postMessage', () => {})
  vi.stubGlobal('ImageData', class {})
  vi.stubGlobal('createImageBitmap', async () => ({}))
  const engine = counter()
  const player = new Player(engine, { wants: () => false, forget() {} } as unknown as Insight)
  const source = { file: grey(4), name: 'grey.y4m', rate: 0 }
  await player.open(source, openAtFirst(source))
  await player.seek(1)
  expect(engine.stream.frame).toBe(RATE + 1)
  // From here on snapshots lack the first second.
  await player.reset()
  await player.seek(3)
  expect(engine.stream.frame).toBe(2 * RATE)
  await player.seek(0)
  await player.seek(3.5)
  expect(engine.stream.frame).toBe(3.5 * RATE + 1)
})
