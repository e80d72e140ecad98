/**
 * The few lines that differ between Node, Deno, Bun, browsers and workers.
 */

/** Value of an environment variable, or undefined where there are none or they may not be read. */
export function environment(name: string): string | undefined {
  try {
    return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name]
  } catch {
    return undefined
  }
}

/** Lets the event loop turn: timers, input and Ctrl-C get their chance between two chunks of work. */
export function breathe(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (done: () => void) => void }
  return new Promise((resolve) => (setImmediate ? setImmediate(resolve) : setTimeout(resolve)))
}
