import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Allocator, type Heap } from '../src/backend/wasm/allocator.ts'
import { joined } from './joined.ts'

/** The memory of a machine, without the machine. */
class Pages implements Heap {
  readonly memory = new WebAssembly.Memory({ initial: 1 })

  get size(): number {
    return this.memory.buffer.byteLength
  }

  async grow(bytes: number): Promise<number> {
    // As slow as a worker thread.
    await new Promise((resolve) => setTimeout(resolve))
    this.memory.grow(Math.ceil(bytes / 65536))
    return this.size
  }

  clear(at: number, bytes: number): void {
    this.bytes(at, bytes).fill(0)
  }

  bytes(at: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, count)
  }
}

test('blocks do not overlap, are zero and aligned, and freed neighbours merge', {
  tags: 'slow',
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50_000 }), fc.nat(9)), { maxLength: 60 }),
      async (requests) => {
        const pages = new Pages()
        const memory = new Allocator(pages, 1000)
        const taken: { at: number; bytes: number }[] = []
        for (const [bytes, keep] of requests) {
          const at = await memory.take(bytes, 'A block')
          expect(at % 64).toBe(0)
          expect(at).toBeGreaterThanOrEqual(1000)
          for (const other of taken)
            expect(at + bytes <= other.at || other.at + other.bytes <= at).toBe(true)
          expect(pages.bytes(at, bytes).every((byte) => byte === 0)).toBe(true)
          pages.bytes(at, bytes).fill(255)
          taken.push({ at, bytes })
          if (keep < 5) memory.free(taken.splice(keep % taken.length, 1)[0]!.at)
        }
        for (const { at } of taken) memory.free(at)
        const { size } = pages
        // All memory is free again as one block: a block of almost its size needs no growth.
        await memory.take(size - 2000, 'All')
        expect(pages.size).toBe(size)
      },
    ),
    { numRuns: 100 },
  )
})

test('concurrent allocations do not overlap while memory grows', async () => {
  const memory = new Allocator(new Pages(), 1000)
  const sizes = [100_000, 64, 300_000, 20_000, 64]
  const places = await Promise.all(sizes.map((bytes) => memory.take(bytes, 'A block')))
  const blocks = places
    .map((at, index) => ({ at, end: at + sizes[index]! }))
    .sort((one, other) => one.at - other.at)
  blocks.slice(1).forEach(({ at }, index) => expect(at).toBeGreaterThanOrEqual(blocks[index]!.end))
})

test('the error for more than 4 GiB states the missing size', async () => {
  const memory = new Allocator(new Pages(), 1000)
  await memory.take(1e6, 'The weights')
  await expect(memory.take(5e9, 'The activations of a program')).rejects.toThrow(
    joined(
      /The activations of a program need 5000 MB, /,
      /but WebAssembly memory ends at 4 GiB, of which 2 MB are in use/,
    ),
  )
})
