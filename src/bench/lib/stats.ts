/**
 * Returns the value below which a share of the samples lies. Between two samples, returns their
 * mean.
 */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((one, other) => one - other)
  const at = share * (sorted.length - 1)
  const low = sorted[Math.floor(at)]!
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at))
}

/** Returns the median. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/**
 * Runs a function repeatedly, because runtimes run code unoptimised at first.
 * @param milliseconds at least this long, and at least twice
 */
export async function warm(work: () => unknown, milliseconds = 500): Promise<void> {
  const start = performance.now()
  for (let runs = 0; runs < 2 || performance.now() - start < milliseconds; runs++) await work()
}

/**
 * Milliseconds of wall time, and of CPU time of this process on all cores (wall time if unknown).
 */
export interface Sample {
  readonly wall: number
  readonly cpu: number
}

/** Measures one call. */
export async function time(work: () => unknown): Promise<Sample> {
  const start = now()
  await work()
  return since(start)
}

/** Reads the clocks. */
export function now(): Sample {
  const wall = performance.now()
  const usage = (
    globalThis as { process?: { cpuUsage?: () => { user: number; system: number } } }
  ).process?.cpuUsage?.()
  return { wall, cpu: usage ? (usage.user + usage.system) / 1000 : wall }
}

/** Returns the time since a reading of the clocks. */
export function since(start: Sample): Sample {
  const { wall, cpu } = now()
  return { wall: wall - start.wall, cpu: cpu - start.cpu }
}
