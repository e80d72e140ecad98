import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinearMemory } from '../src/backend/wasm/memory.ts'

const fresh = () => new LinearMemory(new WebAssembly.Memory({ initial: 1 }), 1000)

test('blocks never overlap, are zero, aligned, and come together again', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 50_000 }), fc.nat(9)), { maxLength: 60 }), (requests) => {
    const memory = fresh()
    const taken: { at: number; bytes: number }[] = []
    for (const [bytes, keep] of requests) {
      const at = memory.take(bytes, 'A block')
      expect(at % 64).toBe(0)
      expect(at).toBeGreaterThanOrEqual(1000)
      for (const other of taken) expect(at + bytes <= other.at || other.at + other.bytes <= at).toBe(true)
      expect(memory.bytes(at, bytes).every((byte) => byte === 0)).toBe(true)
      memory.bytes(at, bytes).fill(255)
      taken.push({ at, bytes })
      if (keep < 5) memory.free(taken.splice(keep % taken.length, 1)[0]!.at)
    }
    for (const { at } of taken) memory.free(at)
    const pages = memory.memory.buffer.byteLength
    // Everything is free again, as one piece: a block of almost all of it needs no growth.
    memory.take(pages - 2000, 'All')
    expect(memory.memory.buffer.byteLength).toBe(pages)
  }), { numRuns: 100 })
})

test('says what is missing when 4 GiB do not suffice', () => {
  const memory = fresh()
  memory.take(1e6, 'The weights')
  expect(() => memory.take(5e9, 'The activations of a program')).toThrow(/The activations of a program need 5000 MB, but WebAssembly memory ends at 4 GiB and 2 MB are taken/)
})
