/**
 * Workers: `worker_threads` in Node, Deno and Bun, web workers in pages. Both run the same script.
 */

import { builtinModule } from './platform.ts'

/** The common interface of both kinds of worker. */
export interface PlatformWorker {
  post(message: unknown): void
  /** Sets whether the process stays alive for this worker; no effect in pages. */
  keep(alive: boolean): void
  end(): void
}

/** Events of a worker. */
export interface WorkerEvents {
  message(data: unknown): void
  /** Called with the reason when the worker ended or did not start. */
  failed(reason: string): void
}

/**
 * Starts a worker. If it is not allowed, this throws or the worker fails later.
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
  // The URL must stay valid until the script is loaded. The first message shows that it is.
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

/** In a worker: calls `receive` with each message, and returns a function that sends messages. */
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

/** Returns how many threads the machine runs in parallel. */
export function availableThreads(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } }
  return navigator?.hardwareConcurrency ?? builtinModule('node:os')?.availableParallelism() ?? 1
}
