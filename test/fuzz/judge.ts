/** Requirements for every case: errors in one sentence, less than a second, bounded memory. */
import { readFileSync, writeFileSync } from 'node:fs'
import { TrecvitError } from '../../src/base/error.ts'

/** CPU time in milliseconds for a file of up to 1 MB. */
const MOST_TIME = 1000
/** Milliseconds that a case may wait without using the CPU. */
const MOST_WAIT = 10_000
/** Memory bound in bytes. Four times the file and four times the decoded pictures are added. */
const MOST_MEMORY = 64 << 20
/** Largest number of characters in a message. */
const MOST_TEXT = 400

/** The reason why a case fails. */
export interface Fault {
  readonly kind: 'error' | 'sentence' | 'time' | 'memory' | 'allocation' | 'handles'
  readonly text: string
}

/** Returns the fault of an error, or null if it is a TrecvitError in one sentence. */
export function judgeError(error: unknown): Fault | null {
  if (!(error instanceof TrecvitError)) {
    return {
      kind: 'error',
      text:
        error instanceof Error
          ? (error.stack ?? String(error))
          : `A thrown ${typeof error}: ${String(error)}`,
    }
  }
  const { message } = error
  const bare = message.replace(/"(?:[^"\\]|\\.)*"/g, '"…"')
  const wrong =
    message.length > MOST_TEXT
      ? `it has ${message.length} characters`
      : /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(message)
        ? 'it has control characters'
        : !/^["A-Z]/.test(message)
          ? 'it begins in lower case'
          : /[.\s]$/.test(message) || /[.!?] +[A-Z]/.test(bare)
            ? 'it is not one sentence without a full stop'
            : /\bundefined\b|\[object /.test(bare)
              ? 'it shows a value that is none'
              : null
  return wrong === null
    ? null
    : { kind: 'sentence', text: `${wrong}: ${JSON.stringify(message.slice(0, 600))}` }
}

/** Measures time and memory of a case. */
export class Meter {
  readonly #start: number
  readonly #cpu: NodeJS.CpuUsage
  readonly #rss: number

  constructor() {
    largest = 0
    // Resets the peak of this process (proc(5)). Outside Linux the peak only grows.
    if (onLinux) writeFileSync('/proc/self/clear_refs', '5')
    this.#rss = onLinux ? process.memoryUsage.rss() : peak()
    this.#start = performance.now()
    this.#cpu = process.cpuUsage()
  }

  /** Returns milliseconds, bytes, and the fault if they exceed the bounds. */
  stop(fileBytes: number, decoded: number): { time: number; memory: number; fault: Fault | null } {
    const wall = performance.now() - this.#start
    const { user, system } = process.cpuUsage(this.#cpu)
    const time = Math.min(wall, (user + system) / 1000)
    const memory = Math.max(0, peak() - this.#rss)
    // Decoders also store a picture in their own format, and return copies.
    const most = MOST_MEMORY + 4 * fileBytes + 4 * decoded
    const file = `a file of ${fileBytes} bytes`
    const fault: Fault | null =
      time > MOST_TIME || wall > MOST_WAIT
        ? {
            kind: 'time',
            text: `it took ${time.toFixed(0)} ms of CPU, ${wall.toFixed(0)} ms in all, for ${file}`,
          }
        : largest > most
          ? {
              kind: 'allocation',
              text: `it asked for ${largest} bytes at once, for ${file}: ${place}`,
            }
          : memory > most
            ? {
                kind: 'memory',
                text: `it took ${memory} bytes of memory, for ${file}`,
              }
            : null
    return { time, memory, fault }
  }
}

const onLinux = process.platform === 'linux'

/** Returns the peak of resident memory in bytes. */
function peak(): number {
  if (!onLinux) return process.resourceUsage().maxRSS * 1024
  return Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]) * 1024
}

/** Size of the largest array in bytes, and where it was allocated. */
let largest = 0
let place = ''

/** Tracks the sizes of arrays: memory that was not accessed yet is not resident. */
export function watchAllocations(): void {
  const names = [
    'ArrayBuffer',
    'Uint8Array',
    'Int32Array',
    'Uint16Array',
    'Uint32Array',
    'Float32Array',
    'Float64Array',
  ] as const
  for (const name of names) {
    const original = globalThis[name] as Uint8ArrayConstructor
    const unit = (original as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
    const watched: Uint8ArrayConstructor = new Proxy(original, {
      construct(target, args: unknown[], made) {
        const size = typeof args[0] === 'number' ? args[0] * unit : 0
        if (size > largest) {
          largest = size
          if (size > MOST_MEMORY)
            place =
              new Error().stack
                ?.split('\n')
                .slice(2, 5)
                .map((line) => line.trim())
                .join(' ') ?? ''
        }
        return Reflect.construct(target, args, made === watched ? target : made) as object
      },
    })
    Object.defineProperty(globalThis, name, { value: watched, writable: true, configurable: true })
    Object.defineProperty(original.prototype, 'constructor', {
      value: watched,
      writable: true,
      configurable: true,
    })
  }
}
