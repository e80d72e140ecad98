/**
 * Workers: `worker_threads` in Node, Deno and Bun, web workers in pages. Both run the same script.
 */

import { builtinModule } from './platform.ts'

/** What both kinds of worker have in common. */
export interface PlatformWorker {
  post(message: unknown): void
  /** Whether the process stays alive for it; no effect in pages. */
  keep(alive: boolean): void
  end(): void
}

/** Events of a worker. */
export interface WorkerEvents {
  message(data: unknown): void
  /** Called when it ended or did not start, with the reason. */
  failed(reason: string): void
}

/**
 * Starts a worker. A refusal may come as an exception or as an event.
 * @param script text of a classic script
 * @param url address of the same script, for pages whose Content Security Policy refuses the text
 */
export function startWorker(
  script: string,
  url: string | URL | undefined,
  events: WorkerEvents,
): PlatformWorker {
  const threads = builtinModule('node:worker_threads')
  if (threads) {
    const worker =
      url === undefined
        ? new threads.Worker(script, { eval: true })
        : new threads.Worker(new URL(url))
    worker.on('message', (data) => events.message(data))
    worker.on('error', (error) =>
      events.failed(error instanceof Error ? error.message : String(error)),
    )
    worker.on('exit', (code) => events.failed(`it ended with code ${code}`))
    return {
      post: (message) => worker.postMessage(message),
      keep: (alive) => void (alive ? worker.ref() : worker.unref()),
      end: () => void worker.terminate(),
    }
  }
  if (typeof Worker === 'undefined') throw new Error('there are no workers here')
  // The address is needed until the script is loaded, which its first message shows.
  const blob =
    url === undefined
      ? URL.createObjectURL(new Blob([script], { type: 'text/javascript' }))
      : undefined
  const revoke = (): void => {
    if (blob !== undefined) URL.revokeObjectURL(blob)
  }
  let worker: Worker
  try {
    worker = new Worker(blob ?? url!)
  } catch (error) {
    revoke()
    throw error
  }
  worker.onmessage = ({ data }) => {
    revoke()
    worker.onmessage = ({ data }) => events.message(data)
    events.message(data)
  }
  worker.onerror = (event) => {
    event.preventDefault()
    revoke()
    events.failed(
      event.message ||
        'its script was not loaded; give "workerUrl" where a security policy refuses "blob:"',
    )
  }
  const end = (): void => {
    revoke()
    worker.terminate()
  }
  return { post: (message) => worker.postMessage(message), keep: () => {}, end }
}

/** In a worker: calls `receive` with each message, and returns the function that answers. */
export function serveWorker(receive: (data: unknown) => void): (message: unknown) => void {
  const port = builtinModule('node:worker_threads')?.parentPort
  if (port) {
    port.on('message', receive)
    return (message) => port.postMessage(message)
  }
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent) => void
    postMessage(message: unknown): void
  }
  scope.onmessage = ({ data }) => receive(data)
  return (message) => scope.postMessage(message)
}

/** Threads that the machine runs at once. */
export function availableThreads(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } }
  return navigator?.hardwareConcurrency ?? builtinModule('node:os')?.availableParallelism() ?? 1
}
