import { keepsOrder, userAgent } from '../../platform/platform.ts'
import { availableThreads } from '../../platform/worker.ts'
import type { Choices } from './kernels.ts'

/** What this JavaScript engine offers. Builds, machines and code of kernels are chosen by it. */
export interface CpuCapabilities {
  /** Relaxed multiply-add is supported and rounds once; if it rounds twice it is slower. */
  readonly fuses: boolean
  /** V8 can be asked to join pairs of 128-bit operations into 256-bit ones. */
  readonly revectorizes: boolean
  /** What the kernels choose code by. Workers are told, so that their script needs no probes. */
  readonly choices: Choices
  /** Threads can share memory. */
  readonly sharedMemory: boolean
  /** Threads that the machine runs at once. */
  readonly threads: number
}

let found: CpuCapabilities | undefined

/** Describes this engine. Results of relaxed operations tell how it computes them. */
export function cpuCapabilities(): CpuCapabilities {
  return (found ??= {
    fuses: result(F32, FUSES) === 50331656,
    revectorizes: keepsOrder() && userAgent().startsWith('Node'),
    choices: { unrolls: +keepsOrder(), dots: +(result(I32, DOTS) !== 65534) },
    sharedMemory: typeof SharedArrayBuffer === 'function',
    threads: availableThreads(),
  })
}

/** What the only function of a module returns, or NaN if the engine lacks an operation of it. */
function result(type: number, code: readonly number[]): number {
  const { length } = code
  const header = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, type, 3, 2, 1, 0]
  const exported = [7, 5, 1, 1, 102, 0, 0, 10, length + 4, 1, length + 2, 0]
  try {
    const bytes = Uint8Array.from([...header, ...exported, ...code, 11])
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
    return (exports['f'] as () => number)()
  } catch {
    return NaN
  }
}

const F32 = 125
const I32 = 127

/**
 * Lane 0 of relaxed_madd(16777218, 3, 3). 16777218·3 + 3 is 50331656 if it is rounded once, and
 * 50331660 if it is rounded twice.
 */
const FUSES = [
  67, 1, 0, 128, 75, 253, 19, 67, 0, 0, 64, 64, 253, 19, 67, 0, 0, 64, 64, 253, 19, 253, 133, 2,
  253, 31, 0,
]

/**
 * Lane 0 of relaxed_dot_i8x16_i7x16_add_s(127, 255, 0), four times 127·255. x86 without AVX-VNNI
 * has several instructions for it, the first of which saturates at 32767: they return 65534.
 */
const DOTS = [65, 255, 0, 253, 15, 65, 255, 1, 253, 15, 65, 0, 253, 15, 253, 147, 2, 253, 27, 0]
