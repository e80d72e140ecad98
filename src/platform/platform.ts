/**
 * The code that differs between Node, Deno, Bun, browsers and workers.
 */

/** Types of the built-in modules that are used. */
interface BuiltinModules {
  'node:child_process': typeof import('node:child_process')
  'node:crypto': typeof import('node:crypto')
  'node:fs': typeof import('node:fs')
  'node:fs/promises': typeof import('node:fs/promises')
  'node:net': typeof import('node:net')
  'node:module': typeof import('node:module')
  'node:os': typeof import('node:os')
  'node:path': typeof import('node:path')
  'node:stream/web': typeof import('node:stream/web')
  'node:url': typeof import('node:url')
  'node:util': typeof import('node:util')
  'node:v8': typeof import('node:v8')
  'node:worker_threads': typeof import('node:worker_threads')
  'node:zlib': typeof import('node:zlib')
}

/**
 * Returns a built-in module of Node, Deno or Bun; undefined in pages. Bundlers for pages reject an
 * `import` of these modules, but do not see this call.
 */
export function builtinModule<Name extends keyof BuiltinModules>(
  name: Name,
): BuiltinModules[Name] | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } }
  return process?.getBuiltinModule?.(name) as BuiltinModules[Name] | undefined
}

/** Imports an optional package. Bundlers do not see its name, so they do not resolve it. */
export function importOptional(name: string): Promise<unknown> {
  return import(/* webpackIgnore: true */ /* @vite-ignore */ name)
}

/** Returns an environment variable; undefined if there are none, or reading is not allowed. */
export function environment(name: string): string | undefined {
  try {
    return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process
      ?.env?.[name]
  } catch {
    return undefined
  }
}

/** Returns the user agent of this runtime; empty in Node 20. */
export function userAgent(): string {
  return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent ?? ''
}

/** Lowest versions with V8 13.6, the oldest V8 for which this was measured. */
const ORDERED_SINCE: Readonly<Record<string, number>> = { Chrome: 136, 'Node.js': 24, Deno: 2 }

/**
 * Returns whether this runtime executes the operations of a WebAssembly loop in source order. V8
 * does so since it compiles with Turboshaft. In older V8, JavaScriptCore and SpiderMonkey, long
 * loops are slower (2026-11: Node 20 and 22, Bun 1.4, Firefox 153).
 */
export function keepsOrder(agent: string = userAgent()): boolean {
  const [, name = '', version] = /(Chrome|Node\.js|Deno)\/(\d+)/.exec(agent) ?? []
  return Number(version) >= (ORDERED_SINCE[name] ?? Infinity)
}

/**
 * Yields to the event loop, so that timers, input and Ctrl-C are handled between chunks of work.
 */
export function yieldToEventLoop(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (done: () => void) => void }
  return new Promise((resolve) => (setImmediate ? setImmediate(resolve) : setTimeout(resolve)))
}

/** Milliseconds of work before yielding to the event loop. */
const PAUSE = 4

/** Returns a function to await in each round of a long loop. It yields to the event loop. */
export function pauses(): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < PAUSE) return
    await yieldToEventLoop()
    since = performance.now()
  }
}
