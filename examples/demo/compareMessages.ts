/** Messages between the compare page and its worker. */
import type { Report } from '../../src/bench/lib/report.ts'

/** The selected benches and their options. */
export interface CompareSettings {
  readonly size: 'Ti' | 'S' | 'B'
  readonly build: 'auto' | 'simd' | 'relaxed'
  readonly threads: number
  /** Seconds for each measurement. */
  readonly seconds: number
  readonly parts: readonly Part[]
}

export type Part = 'kernels' | 'frame' | 'growth' | 'peer'

export type CompareRequest =
  | { readonly type: 'run'; readonly settings: CompareSettings }
  | { readonly type: 'stop' }

export type CompareReply =
  | {
      readonly type: 'progress'
      readonly part: Part /** 0..1 of all parts */
      readonly share: number
    }
  | { readonly type: 'report'; readonly report: Report }
  /** An error that does not end the run. */
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'done'; readonly stopped: boolean }
