/** Runs cases of one format in a child process, and watches it. */
import { spawn } from 'node:child_process'

/** Messages of Node, and of the FFmpeg in node-webcodecs, which nothing turns off. */
const OTHERS = /\(node:\d+\)|--trace-|\[\w+ @ 0x/

/** Time of a case that a child may take to start and to make its first files. */
const START = 5

/** Milliseconds for a case to end when the child is stopped. */
const GRACE = 2000

/**
 * Runs cases from one number to another, or until one of them ends the process.
 * @param {string} module of build.mjs
 * @param {{ name: string, seed: string, from: number, to: number, save?: string }} cases
 * @param {number} timeout milliseconds without another line of the child, after which its case
 * hangs
 * @param {{
 *   onCase(number: number): void,
 *   onFault(number: number, fault: { kind: string, text: string }): void,
 *   onEnd?(counts: object): void,
 * }} hooks
 * @returns {{ stop(): void, next: Promise<number> }} the case to go on with
 */
export function runCases(
  module,
  { name, seed, from, to, save = '' },
  timeout,
  { onCase, onFault, onEnd },
) {
  const args = ['--expose-gc', module, name, seed, from, to, save].map(String)
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let current = from
  let finished = false
  let killed = false
  let text = ''
  let timer
  const watch = (limit) => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      onFault(current, { kind: 'hang', text: `no answer within ${limit / 1000} s` })
      kill()
    }, limit)
  }
  const kill = () => {
    killed = true
    child.kill('SIGKILL')
  }
  const read = (line) => {
    if (line.startsWith('! ')) {
      const { case: number, ...fault } = JSON.parse(line.slice(2))
      onFault(number, fault)
    } else if (line.startsWith('. ')) {
      finished = true
      onEnd?.(JSON.parse(line.slice(2)))
    } else if (/^\d+$/.test(line)) {
      current = Number(line)
      onCase(current)
    }
  }
  watch(START * timeout)
  let printed = ''
  child.stderr.on('data', (part) => {
    const before = printed
    printed = (printed + part).slice(-4000)
    if (before === '' && !OTHERS.test(printed))
      onFault(current, { kind: 'print', text: `it wrote on the console: ${printed}` })
  })
  child.stdout.on('data', (part) => {
    watch(timeout)
    const lines = (text + part).split('\n')
    text = lines.pop()
    lines.forEach(read)
  })
  const next = new Promise((resolve) =>
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (!finished && !killed) {
        const how =
          code === 13 ? 'it never answers' : `the process ended with ${signal ?? `code ${code}`}`
        onFault(current, { kind: 'crash', text: `${how} ${printed.trim().slice(-600)}` })
      }
      resolve(finished ? to : current + 1)
    }),
  )
  const stop = () => {
    killed = true
    // With the counts so far, unless the case hangs.
    child.kill('SIGTERM')
    setTimeout(kill, GRACE).unref()
  }
  return { stop, next }
}
