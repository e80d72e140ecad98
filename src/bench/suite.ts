/**
 * The benches that ship with the package, by name.
 */
import { TrecvitError } from '../base/error.ts'
import { type Bench, type Monitor, part } from './lib/bench.ts'
import type { Options } from './lib/options.ts'
import type { Report } from './lib/report.ts'

interface Entry {
  /** Supported options. Other options of the command line are not passed on. */
  readonly options: readonly string[]
  readonly load: () => Promise<{ readonly bench: Bench }>
}

const entries: Readonly<Record<string, Entry>> = {
  kernels: {
    options: ['size', 'seconds', 'build', 'dtype'],
    load: () => import('./kernels.ts'),
  },
  frame: {
    options: ['size', 'seconds', 'threads', 'build', 'dtype'],
    load: () => import('./frame.ts'),
  },
  growth: { options: ['seconds', 'threads', 'build', 'dtype'], load: () => import('./growth.ts') },
  start: { options: ['size', 'threads', 'dtype'], load: () => import('./start.ts') },
}

/** In the order in which they run. */
const benchNames: readonly string[] = Object.keys(entries)

/**
 * Runs benches one after the other.
 * @param names all by default
 * @param onReport called with each report as soon as it is complete
 * @throws TrecvitError if there is no bench of that name, or no bench has one of the options
 */
export async function runBenches(
  names: readonly string[],
  options: Options,
  monitor: Monitor,
  onReport: (report: Report) => void,
): Promise<void> {
  const chosen = (names.length ? names : benchNames).map((name) => {
    const entry = Object.hasOwn(entries, name) ? entries[name] : undefined
    if (!entry)
      throw new TrecvitError(
        `There is no bench "${name}"; expected one of ${benchNames.join(', ')}`,
      )
    return entry
  })
  for (const name of Object.keys(options)) {
    if (!chosen.some((entry) => entry.options.includes(name)))
      throw new TrecvitError(
        `"--${name}" expected a bench that it changes, like ` +
          `"${benchNames.find((bench) => entries[bench]!.options.includes(name))}"`,
      )
  }
  for (const [index, entry] of chosen.entries()) {
    if (monitor.signal.aborted) return
    const { bench } = await entry.load()
    onReport(
      await bench(
        Object.fromEntries(
          Object.entries(options).filter(([name]) => entry.options.includes(name)),
        ),
        part(monitor, index, chosen.length),
      ),
    )
  }
}
