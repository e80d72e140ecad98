/**
 * trecvit pull: downloads official weights into the cache.
 */
import { Argument, type Command, Option } from 'commander'
import type { Form } from '../weights/cache.ts'
import { known, weightsNamed } from '../weights/known.ts'
import type { ConvertOptions } from './convert.ts'
import { action, type GlobalOptions } from './run.ts'
import { bytes, print } from './terminal.ts'
import { downloadWeights } from './weights.ts'

interface PullOptions extends GlobalOptions {
  readonly dtype: Form
}

export function addPull(program: Command): void {
  program
    .command('pull')
    .addArgument(
      new Argument('<name>', 'name of the weights').choices(known.map(({ name }) => name)),
    )
    .summary('download official weights')
    .description(
      'Downloads official weights (CC-BY 4.0) into the cache folder of this user, where --model ' +
        'NAME finds them. An interrupted download is resumed.',
    )
    .addOption(
      new Option(
        '--dtype <format>',
        'store them in this number format: f16 halves the file, int8 quarters its layers',
      )
        .choices(['f32', 'f16', 'int8'])
        .default('f32'),
    )
    .option('-y, --yes', 'accepted as by other commands; pull downloads without asking')
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit pull k400
  $ trecvit pull k400 --dtype int8
  $ trecvit classify clip.mp4 --model k400`,
    )
    .action(action<PullOptions>(([name], options, signal) => pull(name!, options, signal)))
}

async function pull(name: string, options: PullOptions, signal: AbortSignal): Promise<void> {
  const { list } = await import('../weights/cache.ts')
  const weights = weightsNamed(name)!
  const form = options.dtype
  const ofForm = async () => (await list(weights)).find((one) => one.form === form)
  const before = await ofForm()
  if (!before) {
    if (form === 'f32') await downloadWeights(weights, options, signal)
    else await pullConverted(name, { ...options, dtype: form }, signal)
  }
  const kept = (await ofForm())!
  if (options.json) print(JSON.stringify({ name, ...kept, downloaded: !before }))
  else if (!options.quiet)
    print(`${kept.path}: ${bytes(kept.bytes)}${before ? ', already downloaded' : ''}`)
}

/** Keeps only the converted file, unless the float32 file was in the cache before. */
async function pullConverted(
  name: string,
  options: ConvertOptions,
  signal: AbortSignal,
): Promise<void> {
  const { find, pathOf } = await import('../weights/cache.ts')
  const { rm } = await import('node:fs/promises')
  const { writeConverted } = await import('./convertSafetensors.ts')
  const weights = weightsNamed(name)!
  const there = await find(weights, 'f32')
  const full = there?.path ?? (await downloadWeights(weights, options, signal))
  await writeConverted(
    full,
    await pathOf(weights, options.dtype),
    { ...options, force: true },
    signal,
  )
  if (!there) await rm(full)
}
