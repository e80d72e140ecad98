/**
 * What runs in a worker: a machine of its own, whose methods its owner calls by message. Bundled as
 * text (build.mjs), so that it starts without a bundler's help.
 */
import { serveWorker } from '../../platform/worker.ts'
import { Here } from './machine.ts'

/** A call to the machine; `open` comes first. Only calls with an id are answered. */
export interface Call {
  readonly id?: number
  readonly method: string
  readonly args: readonly unknown[]
}

/** What comes back: a result, or why there is none. */
export interface Answer {
  readonly id?: number
  readonly result?: unknown
  readonly error?: string
}

let machine: Here | undefined

const methods: Record<string, (...args: never[]) => unknown> = {
  /** On a memory that others share, or on one of its own. */
  open: async (module: WebAssembly.Module, memory?: WebAssembly.Memory) => {
    machine = await Here.open(module, memory ?? Here.memory(false))
    return machine.size
  },
  work: (...args: Parameters<Here['work']>) => machine!.work(...args),
  run: (...args: Parameters<Here['run']>) => machine!.run(...args),
  grow: async (bytes: number) => {
    await machine!.grow(bytes)
    return machine!.size
  },
  clear: (...args: Parameters<Here['clear']>) => machine!.clear(...args),
  write: (...args: Parameters<Here['write']>) => machine!.write(...args),
  pack: (...args: Parameters<Here['pack']>) => machine!.pack(...args),
  read: (...args: Parameters<Here['read']>) => machine!.read(...args),
}

const answer = serveWorker(async (data) => {
  const { id, method, args } = data as Call
  try {
    const result = await methods[method]!(...(args as never[]))
    if (id !== undefined) answer({ id, result } satisfies Answer)
  } catch (error) {
    answer({
      ...(id !== undefined && { id }),
      error: error instanceof Error ? error.message : String(error),
    } satisfies Answer)
  }
})
