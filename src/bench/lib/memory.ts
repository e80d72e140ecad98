/** Bytes in use. */
export interface MemoryUse {
  /** The whole process; 0 where the runtime does not tell. */
  readonly rss: number
  /** JavaScript objects; 0 where the runtime does not tell. */
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
 * What is in use, after a collection of garbage where the runtime offers one (node --expose-gc).
 */
export async function memoryUse(): Promise<MemoryUse> {
  const { gc, process } = globalThis as {
    gc?: () => void
    process?: { memoryUsage?: () => { rss: number; heapUsed: number } }
  }
  // The second collection takes what finalisers of the first have let go.
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
