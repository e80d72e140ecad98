/** Functions to call when a signal is aborted, and the listener that calls them. */
interface Waiting {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const signals = new WeakMap<AbortSignal, Waiting>()

/**
 * Calls a function when a signal is aborted. All functions of a signal share one listener, because
 * Node warns of a leak at the eleventh.
 * @returns a function that undoes this; the listener is removed with the last function
 */
export function onAbort(signal: AbortSignal | undefined, call: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {}
  const { calls, listener } = signals.get(signal) ?? listen(signal)
  const own = (): void => call()
  calls.add(own)
  return () => {
    if (!calls.delete(own) || calls.size > 0) return
    signal.removeEventListener('abort', listener)
    signals.delete(signal)
  }
}

function listen(signal: AbortSignal): Waiting {
  const calls = new Set<() => void>()
  const listener = (): void => {
    signals.delete(signal)
    for (const call of calls) call()
  }
  signals.set(signal, { calls, listener })
  signal.addEventListener('abort', listener, { once: true })
  return { calls, listener }
}

/** Waits. Throws the reason of the signal once it is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let end: () => void = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const timer = setTimeout(end, milliseconds)
  const ignoreAbort = onAbort(signal, end)
  await ended
  clearTimeout(timer)
  ignoreAbort()
  signal?.throwIfAborted()
}
