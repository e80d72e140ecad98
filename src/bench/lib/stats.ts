/**
 * The value below which a share of the samples lies; of an even number, the mean of the two in the
 * middle.
 */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((one, other) => one - other)
  const at = share * (sorted.length - 1)
  const low = sorted[Math.floor(at)]!
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at))
}

/** The value in the middle. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/**
 * Runs something again and again for a while, because engines first run code that they have not
 * optimised yet.
 * @param milliseconds at least this long, and at least twice
 */
export async function warm(work: () => unknown, milliseconds = 500): Promise<void> {
  const start = performance.now()
  for (let runs = 0; runs < 2 || performance.now() - start < milliseconds; runs++) await work()
}

/**
 * Milliseconds: by the clock on the wall, and of this process on all cores (the same where the
 * runtime does not tell).
 */
export interface Sample {
  readonly wall: number
  readonly cpu: number
}

/** How long one call takes. */
export async function time(work: () => unknown): Promise<Sample> {
  const start = now()
  await work()
  return since(start)
}

/** The clocks as they stand. */
export function now(): Sample {
  const wall = performance.now()
  const usage = (
    globalThis as { process?: { cpuUsage?: () => { user: number; system: number } } }
  ).process?.cpuUsage?.()
  return { wall, cpu: usage ? (usage.user + usage.system) / 1000 : wall }
}

/** What has gone by since then. */
export function since(start: Sample): Sample {
  const { wall, cpu } = now()
  return { wall: wall - start.wall, cpu: cpu - start.cpu }
}
