/** What the compare page and its worker say to each other. */
import type { Report } from '../../src/bench/lib/report.ts'

/** What is measured, and how. */
export interface CompareSettings {
  readonly size: 'Ti' | 'S' | 'B'
  readonly build: 'auto' | 'simd' | 'relaxed'
  readonly threads: number
  /** For each thing that is measured. */
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
  /** Something is wrong, and the rest goes on. */
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'done'; readonly stopped: boolean }
