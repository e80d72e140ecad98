/**
 * trecvit models: lists the official weights and their files in the cache.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { DownloadRecord, Kept } from '../weights/cache.ts'
import { known, megabytes, termsOf, type Weights } from '../weights/known.ts'
import { action, type GlobalOptions } from './run.ts'
import { bytes, paint, print, table } from './terminal.ts'

interface ModelsOptions extends GlobalOptions {
  readonly remove?: readonly string[]
  readonly check?: boolean
}

/** Weights with their files in the cache. */
interface Listed {
  readonly weights: Weights
  readonly files: readonly Kept[]
  /** Bytes of an unfinished download, or null. */
  readonly part: number | null
  /** Record of the download of the float32 file, or null. */
  readonly record: DownloadRecord | null
}

export function addModels(program: Command): void {
  const names = known.map(({ name }) => name)
  program
    .command('models')
    .summary('list, check or remove downloaded weights')
    .description(
      'Lists the weights that have a name, and the files of them in the cache folder ' +
        '(TRECVIT_CACHE changes it).',
    )
    .addOption(new Option('--remove <name...>', 'remove the files of these weights').choices(names))
    .option('--check', 'compare the files with their SHA-256 at the time of the download')
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit models
  $ trecvit models --check
  $ trecvit models --remove k400`,
    )
    .action(action<ModelsOptions>((_, options) => models(options)))
}

async function models(options: ModelsOptions): Promise<void> {
  const { cacheFolder } = await import('../weights/cache.ts')
  if (options.remove) return removeAll(options.remove, options)
  const listed = await Promise.all(known.map(look))
  if (options.check) for (const one of listed) await check(one)
  const folder = await cacheFolder()
  const total = listed
    .flatMap(({ files, part }) => [...files.map((file) => file.bytes), part ?? 0])
    .reduce((sum, size) => sum + size, 0)
  if (options.json) {
    const all = listed.map(({ weights: { name, about, licence }, ...rest }) => {
      return { name, about, licence, ...rest }
    })
    print(JSON.stringify({ folder, bytes: total, checked: options.check === true, models: all }))
    return
  }
  for (const one of listed) printOne(one, options.check === true)
  print(`\n${bytes(total)} in ${folder}`)
}

async function look(weights: Weights): Promise<Listed> {
  const { list, recordOf } = await import('../weights/cache.ts')
  const { partOf } = await import('../weights/parts.ts')
  return {
    weights,
    files: await list(weights),
    part: (await partOf(weights)) ?? null,
    record: (await recordOf(weights)) ?? null,
  }
}

/** @throws TrecvitError if the float32 file differs from the download */
async function check({ weights, files, record }: Listed): Promise<void> {
  const { sha256Of } = await import('../weights/cache.ts')
  const file = files.find(({ form }) => form === 'f32')
  if (!file || !record || (await sha256Of(file.path)) === record.sha256) return
  throw new TrecvitError(
    `The file at "${file.path}" is not what was downloaded (SHA-256): remove it with "trecvit ` +
      `models --remove ${weights.name}", and pull it again`,
  )
}

function printOne({ weights, files, part, record }: Listed, checked: boolean): void {
  const { name, about, licence } = weights
  print(`${paint('bold', name)}  ${about}, ${licence}`)
  const rows = files.map(({ form, path, bytes: size }) => {
    const sum = form === 'f32' && record ? `SHA-256 ${record.sha256.slice(0, 12)}…` : ''
    return [`  ${form}`, bytes(size), sum && checked ? `${sum} matches` : sum, path]
  })
  if (part !== null) rows.push(['  part', bytes(part), '', `"trecvit pull ${name}" continues it`])
  if (rows.length > 0) print(table(rows))
  else print(paint('dim', `  not downloaded: "trecvit pull ${name}" (${termsOf(weights)})`))
}

async function removeAll(names: readonly string[], options: GlobalOptions): Promise<void> {
  const { remove } = await import('../weights/cache.ts')
  const removed = []
  for (const weights of known.filter(({ name }) => names.includes(name)))
    removed.push({ name: weights.name, bytes: await remove(weights) })
  if (options.json) print(JSON.stringify({ removed }))
  else if (!options.quiet)
    for (const { name, bytes: freed } of removed) print(`${name}: ${megabytes(freed)} removed`)
}
