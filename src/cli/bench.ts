/**
 * trecvit bench: the speed of the model on this machine, and the share of the machine's limits.
 */
import { type Command, Option } from 'commander'
import type { Report } from '../bench/lib/report.ts'
import { integer, positive } from './options.ts'
import { showProgress } from './progress.ts'
import { action, type GlobalOptions } from './run.ts'
import { note, print } from './terminal.ts'

interface BenchOptions extends GlobalOptions {
  readonly size?: string
  readonly threads?: number
  readonly build?: string
  readonly dtype?: string
  readonly seconds?: number
  readonly out?: string
  readonly html?: string
}

export function addBench(program: Command): void {
  program
    .command('bench')
    .argument(
      '[bench...]',
      'kernels, frame, growth, start (default: all, which takes some minutes)',
    )
    .summary('measure the speed of this machine')
    .description(`Measures the CPU with random weights at the model's real shapes:
  kernels  each kind of step alone, against what the machine can do
  frame    one frame of a stream: time, frames a second, memory, and where it goes
  growth   the cost against tokens, width, streams, and frames seen
  start    from process start to the first result, and the memory that takes`)
    .option(
      '--size <names>',
      'comma-separated sizes of the model: Ti, S, B, L … (default: Ti,S,B for frame, ' +
        'B for kernels and start)',
    )
    .option(
      '--threads <n>',
      'threads, 1 to 64 (default: 1; for start the number of cores, at most 8)',
      integer(1, 64),
    )
    .addOption(
      new Option(
        '--build <name>',
        'build of the kernels; auto: the one that loading a model chooses (default: auto)',
      ).choices(['auto', 'simd', 'relaxed', 'wide', 'wide-relaxed']),
    )
    .addOption(
      new Option('--dtype <name>', 'number format of the matrices (default: f32)').choices([
        'f32',
        'f16',
        'int8',
      ]),
    )
    .option('--seconds <n>', 'time for each measurement (default: 0.5 to 3)', positive)
    .option('--out <file>', 'also write the JSON to a file, which is replaced')
    .option(
      '--html <file>',
      'also write a self-contained page with tables and plots; an existing file is replaced',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit bench
  $ trecvit bench frame --size B --threads 2
  $ trecvit bench kernels frame --html report.html --out report.json`,
    )
    .action(
      action<BenchOptions>((names, options, signal) =>
        bench(names.flat() as string[], options, signal),
      ),
    )
}

async function bench(
  names: readonly string[],
  options: BenchOptions,
  signal: AbortSignal,
): Promise<void> {
  const { runBenches } = await import('../bench/suite.ts')
  const { textOf } = await import('../bench/lib/report.ts')
  const settings = Object.fromEntries(
    (['size', 'threads', 'build', 'dtype', 'seconds'] as const).flatMap((name) =>
      options[name] === undefined ? [] : [[name, String(options[name])]],
    ),
  )
  const progress = await showProgress(options, 'Measuring', null, 1)
  const reports: Report[] = []
  try {
    await runBenches(
      names,
      settings,
      { signal, progress: (share) => progress.update(share) },
      (report) => {
        reports.push(report)
        progress.stop()
        if (!options.json) print(`${reports.length > 1 ? '\n' : ''}${textOf(report)}`)
      },
    )
  } finally {
    progress.stop()
  }
  if (options.json) print(JSON.stringify(reports, null, 2))
  await write(options.out, async () => `${JSON.stringify(reports, null, 2)}\n`, options, signal)
  await write(
    options.html,
    async () => (await import('../bench/lib/html.ts')).pageOf(reports),
    options,
    signal,
  )
}

async function write(
  path: string | undefined,
  contents: () => Promise<string>,
  { quiet }: GlobalOptions,
  signal: AbortSignal,
): Promise<void> {
  if (path === undefined) return
  const { writeOutput } = await import('./output.ts')
  const text = await contents()
  await writeOutput(path, { replace: true, signal }, (output) =>
    output.write(new TextEncoder().encode(text)),
  )
  if (!quiet) note(`Wrote ${path}`)
}
