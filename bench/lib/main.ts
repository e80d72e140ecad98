import { TrecvitError } from '../../src/base/error.ts'
import { type Options, parseOptions } from '../../src/bench/lib/options.ts'
import { type Report, textOf } from '../../src/bench/lib/report.ts'

/**
 * Runs a bench from the command line: prints its report, writes it as JSON to `--out` if given, and
 * exits with 1 if a bound is exceeded.
 */
export async function main(bench: (options: Options) => Promise<Report>): Promise<void> {
  try {
    const { out, ...options } = parseOptions(process.argv.slice(2))
    const report = await bench(options)
    console.log(`\n${textOf(report)}`)
    if (out !== undefined)
      await (await import('node:fs/promises')).writeFile(
        out,
        `${JSON.stringify(report, null, 2)}\n`,
      )
    if (report.verdict?.holds === false) process.exitCode = 1
  } catch (error) {
    if (!(error instanceof TrecvitError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
