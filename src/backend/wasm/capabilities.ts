import { keepsOrder, userAgent } from '../../platform/platform.ts'
import { availableThreads } from '../../platform/worker.ts'
import type { Choices } from './kernels.ts'

/**
 * Capabilities of this JavaScript runtime. They decide the build, the machine and the variants of
 * kernels.
 */
export interface CpuCapabilities {
  /** Relaxed multiply-add is supported and rounds once. Where it rounds twice it is slower. */
  readonly fuses: boolean
  /** V8 has flags to merge pairs of 128-bit operations into 256-bit ones. */
  readonly revectorizes: boolean
  /**
   * Choices between variants of kernels. They are sent to workers, so their script needs no probes.
   */
  readonly choices: Choices
  /** Threads can share memory. */
  readonly sharedMemory: boolean
  /** Threads that the machine runs at the same time. */
  readonly threads: number
}

let found: CpuCapabilities | undefined

/**
 * Detects the capabilities of this runtime. Results of relaxed operations reveal how they are
 * computed.
 */
export function cpuCapabilities(): CpuCapabilities {
  return (found ??= {
    fuses: result(F32, FUSES) === 50331656,
    revectorizes: keepsOrder() && userAgent().startsWith('Node'),
    choices: { unrolls: +keepsOrder(), dots: +(result(I32, DOTS) !== 65534) },
    sharedMemory: typeof SharedArrayBuffer === 'function',
    threads: availableThreads(),
  })
}

/**
 * Runs the only function of a module. Returns its result, or NaN if the runtime does not support an
 * instruction of it.
 */
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
 * computes it with several instructions. The first of them saturates at 32767, so they return
 * 65534.
 */
const DOTS = [65, 255, 0, 253, 15, 65, 255, 1, 253, 15, 65, 0, 253, 15, 253, 147, 2, 253, 27, 0]
