/** trecvit jobs submit: adds a job for each video. */
import { resolve } from 'node:path'
import { messageOf, TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { listLabelled } from '../labelled.ts'
import { openModel } from '../model.ts'
import { showProgress } from '../progress.ts'
import { checkLabels, namesOf } from '../tally.ts'
import { note, print } from '../terminal.ts'
import { keyOf, type Listed, listVideos, outputsFor } from '../videos.ts'
import { Archive } from './archive.ts'
import { contentOf } from './content.ts'
import {
  checkTask,
  nameOf,
  type Part,
  type Settings,
  settingsHash,
  settingsOf,
  type TaskOptions,
} from './settings.ts'
import { follow } from './status.ts'
import type { ArchiveOptions, Entry, JobData } from './types.ts'

export interface SubmitOptions extends ArchiveOptions, TaskOptions {
  readonly list?: string
  readonly priority?: number
  readonly wait?: boolean
}

/** A video in the arguments. */
interface Given extends Pick<Listed, 'source'> {
  readonly class?: string
  readonly output?: string
}

/** Videos that are read and added at a time. */
const AT_A_TIME = 8

export async function submit(
  sources: readonly string[],
  options: SubmitOptions,
  signal: AbortSignal,
): Promise<void> {
  checkTask(options)
  const archive = await Archive.open(options)
  try {
    const videos = await listGiven(sources, options)
    const settings = await settingsFor(options, videos, signal)
    await archive.claim(settings)
    await addAll(archive, videos, settings, options, signal)
    if (options.wait && !signal.aborted) await follow(archive, options, signal)
  } finally {
    await archive.close()
  }
}

async function listGiven(
  sources: readonly string[],
  { task, list, output }: SubmitOptions,
): Promise<Given[]> {
  if (task === 'evaluate') {
    if (sources.length !== 1 || list !== undefined)
      throw new TrecvitError(
        '"--task evaluate" expected one argument: a folder with a folder of videos for each ' +
          'class, or a text file of lines with a path and a class',
      )
    const videos = await listLabelled(sources[0]!)
    return videos.map(({ source, label }) => ({ source, class: label }))
  }
  const fromInput = sources.includes('-')
  if (fromInput && list !== undefined)
    throw new TrecvitError('"-" and "--list" are both a list of videos; give one of them')
  const named = sources.filter((source) => source !== '-')
  const videos = await listVideos(named, fromInput ? '-' : list)
  if (output === undefined) return [...videos.all]
  const outputs = outputsFor('--output', output, videos)
  return videos.all.map((video) => ({ ...video, output: resolve(outputs.get(video)!) }))
}

/** Loads the model once, so that a wrong option is reported here and not by every job. */
async function settingsFor(
  options: SubmitOptions,
  videos: readonly Given[],
  signal: AbortSignal,
): Promise<Settings> {
  await using model = await openModel({ ...options, device: 'wasm', threads: 1 }, signal)
  const { task, pool } = options
  const { config } = model
  if (task !== 'features' && config.numClasses === 0)
    throw new TrecvitError(
      `"--task ${task}" expected a model with a class head; use "--task features"`,
    )
  if (pool === 'tok' && config.poolType !== 'tok')
    throw new TrecvitError(
      '"--pool tok" expected a model with a class token, this one has none; use "--pool gap"',
    )
  const labelled = videos.flatMap(({ source, class: label }) =>
    label === undefined ? [] : [{ source, label }],
  )
  checkLabels(labelled, namesOf(model))
  return settingsOf(options, model)
}

async function addAll(
  archive: Archive,
  videos: readonly Given[],
  settings: Settings,
  options: SubmitOptions,
  signal: AbortSignal,
): Promise<void> {
  const counts = { new: 0, waiting: 0, failed: 0, done: 0 }
  const hash = settingsHash(settings)
  const waiting = [...videos]
  const progress = await showProgress(options, 'Submitting', 'videos', videos.length)
  let errors = 0
  let lost: unknown
  const addOne = async ({ source, class: label, output }: Given): Promise<void> => {
    const video = keyOf(source)
    let content: string
    let parts: readonly (Part | null)[]
    try {
      content = await contentOf(video, signal)
      parts = await partsOf(video, settings, signal)
    } catch (error) {
      if (signal.aborted) return
      errors++
      progress.stop()
      return note(messageOf(error))
    }
    for (const part of parts) {
      const id = nameOf(content, hash, part ?? output)
      const entry: Entry = { id, video, ...(label !== undefined && { class: label }) }
      const data: JobData = { video, settings: hash, ...(output !== undefined && { output }) }
      const key = part ? `${video}#t=${part.join(',')}` : video
      const cut = part && { part }
      counts[await archive.add(key, { ...entry, ...cut }, { ...data, ...cut }, options.priority)]++
    }
    progress.update(videos.length - waiting.length)
  }
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !signal.aborted && !lost; next = waiting.shift())
      await addOne(next).catch((error: unknown) => {
        lost ??= error
      })
  }
  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, worker))
  } finally {
    progress.stop()
  }
  if (lost) throw lost
  if (options.json) print(JSON.stringify({ ...counts, unreadable: errors }))
  else if (!options.quiet) print(sentenceOf(counts))
  if (errors && !signal.aborted)
    throw new TrecvitError(`${errors} of ${videos.length} videos cannot be read, listed above`)
}

/** Returns the parts of a video that are separate jobs; one that is null for the whole video. */
async function partsOf(
  video: string,
  { independentSegments: length, reading }: Settings,
  signal: AbortSignal,
): Promise<readonly (Part | null)[]> {
  if (length === undefined) return [null]
  const { openInput } = await import('../input.ts')
  const input = await openInput(video, reading, signal)
  const { duration } = input.info
  await input.close()
  if (!duration)
    throw new TrecvitError(
      `${quote(video)} does not tell its duration; submit it without "--independent-segments"`,
    )
  const count = Math.max(1, Math.ceil(duration / length))
  return Array.from({ length: count }, (_, i) => [i * length, (i + 1) * length] as const)
}

function sentenceOf(counts: Record<'new' | 'waiting' | 'failed' | 'done', number>): string {
  const before = [
    counts.waiting ? `${counts.waiting} waiting already` : '',
    counts.done ? `${counts.done} done before` : '',
    counts.failed ? `${counts.failed} failed before ("trecvit jobs retry")` : '',
  ].filter((text) => text !== '')
  return [`${counts.new} new ${counts.new === 1 ? 'job' : 'jobs'}`, ...before].join('; ')
}
