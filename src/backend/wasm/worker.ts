/**
 * The script of a worker: an instance of the kernels, whose methods the owner calls by message. It
 * is bundled as text (build.mjs), so bundlers of applications need not know it.
 */
import { messageOf } from '../../base/error.ts'
import { serveWorker } from '../../platform/worker.ts'
import { Instance } from './instance.ts'
import { type Choices, createMemory } from './kernels.ts'
import type { Memory } from './memory.ts'

/**
 * A call of a method of the instance. The first call is `open`. Only calls with an id are answered.
 */
export interface Message {
  readonly id?: number
  readonly method: 'open' | 'run' | keyof Omit<Memory, 'size'>
  readonly args: readonly unknown[]
}

/** The answer to a call: a result, or an error. */
export interface Reply {
  readonly id?: number
  readonly result?: unknown
  readonly error?: string
}

let instance: Instance | undefined

/** Opens the instance on a shared memory, or on one of its own. Returns its size in bytes. */
async function open(
  module: WebAssembly.Module,
  choices: Choices,
  memory = createMemory(false),
): Promise<number> {
  instance = await Instance.open(module, choices, memory)
  return instance.size
}

const reply = serveWorker(async (data) => {
  const { id, method, args } = data as Message
  try {
    const call = (method === 'open' ? open : instance![method]) as (...args: unknown[]) => unknown
    const result = await call.apply(instance, [...args])
    if (id !== undefined) reply({ id, result } satisfies Reply)
  } catch (error) {
    reply({
      ...(id !== undefined && { id }),
      error: messageOf(error),
    } satisfies Reply)
  }
})
