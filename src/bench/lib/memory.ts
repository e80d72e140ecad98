/** Bytes in use. */
export interface MemoryUse {
  /** Of the whole process; 0 where unknown. */
  readonly rss: number
  /** Of JavaScript objects; 0 where unknown. */
  readonly heap: number
  /** WebAssembly memories made since `watchMemories`. */
  readonly wasm: number
}

const memories: WeakRef<WebAssembly.Memory>[] = []

/**
 * Counts every WebAssembly memory that is made from now on: no runtime tells their size, and a
 * backend keeps its own to itself.
 */
export function watchMemories(): void {
  WebAssembly.Memory = class extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor)
      memories.push(new WeakRef(this))
    }
  }
}

/**
 * Returns the memory in use, after garbage collection where available (node --expose-gc).
 */
export async function memoryUse(): Promise<MemoryUse> {
  const { gc, process } = globalThis as {
    gc?: () => void
    process?: { memoryUsage?: () => { rss: number; heapUsed: number } }
  }
  // The second collection frees what finalisers of the first released.
  for (let turn = 0; turn < 2; turn++) {
    gc?.()
    await new Promise((resolve) => setTimeout(resolve))
  }
  const { rss = 0, heapUsed = 0 } = process?.memoryUsage?.() ?? {}
  return {
    rss,
    heap: heapUsed,
    wasm: memories.reduce((sum, memory) => sum + (memory.deref()?.buffer.byteLength ?? 0), 0),
  }
}
