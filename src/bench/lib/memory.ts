/** Memory in use, in bytes. */
export interface MemoryUse {
  /** Memory of the whole process; 0 if unknown. */
  readonly rss: number
  /** JavaScript objects; 0 if unknown. */
  readonly heap: number
  /** WebAssembly memories created since `watchMemories`. */
  readonly wasm: number
}

const memories: WeakRef<WebAssembly.Memory>[] = []

/**
 * Counts every WebAssembly memory that is created from now on. No runtime reports their size, and
 * backends do not expose theirs.
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
  // The second collection frees what the finalisers of the first one released.
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
