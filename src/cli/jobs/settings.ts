/** The settings that all jobs of a queue share: task, model and options. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { TrecvitError } from '../../base/error.ts'
import { windowOf } from '../../model/config.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { ClassifyVideoOptions } from '../classifyVideo.ts'
import { type ConfigOptions, type ModelOptions, PAPER, type VideoOptions } from '../options.ts'
import { namesOf } from '../tally.ts'

/** Part of a video in seconds. */
export type Part = readonly [from: number, to: number]

/** What the jobs compute. */
export type Task = 'classify' | 'features' | 'evaluate'

/** The model of all jobs, as options of `openModel`. */
export interface JobModel
  extends Pick<ConfigOptions, 'labels' | 'imageSize' | 'framesPerClip'>,
    Pick<ModelOptions, 'model' | 'dtype' | 'deterministic'> {}

/** Settings of all jobs of a queue. */
export interface Settings {
  readonly task: Task
  readonly model: JobModel
  /** Fingerprint of the model. */
  readonly fingerprint: string
  /** Names of the classes in order; their numbers for a model without names. */
  readonly classes: readonly string[]
  /** Options for reading and classifying a video. */
  readonly reading: ClassifyVideoOptions
  /** How features are pooled. */
  readonly pool?: 'tok' | 'gap'
  /** Seconds of each part of a video, if it is cut. */
  readonly independentSegments?: number
}

/** Options of "trecvit jobs submit" for the task. */
export interface TaskOptions extends JobModel, VideoOptions {
  readonly task: Task
  readonly topK?: number
  readonly window?: number
  readonly clips?: number
  readonly views?: '1' | '3'
  readonly protocol?: 'paper'
  readonly pool?: 'tok' | 'gap'
  readonly output?: string
  readonly independentSegments?: number
}

/** Options that only some tasks have. */
const OF_TASK: Readonly<Record<string, readonly Task[]>> = {
  topK: ['classify'],
  window: ['classify'],
  clips: ['classify', 'evaluate'],
  views: ['classify', 'evaluate'],
  protocol: ['classify', 'evaluate'],
  independentSegments: ['classify'],
  pool: ['features'],
  output: ['features'],
}

/** @throws TrecvitError if an option does not belong to the task, or one is missing */
export function checkTask(options: TaskOptions): void {
  const { task, output } = options
  for (const [name, tasks] of Object.entries(OF_TASK))
    if (options[name as keyof TaskOptions] !== undefined && !tasks.includes(task))
      throw new TrecvitError(
        `"--${flagOf(name)}" expected "--task ${tasks.join('" or "--task ')}", got "${task}"`,
      )
  if (task === 'features' && !/\.np[yz]$/.test(output ?? ''))
    throw new TrecvitError(
      '"--task features" expected "--output <file>" with {name}, and .npy or .npz at its end',
    )
  const { independentSegments, clips, views, protocol } = options
  if (independentSegments !== undefined && (clips ?? views ?? protocol) !== undefined)
    throw new TrecvitError(
      '"--independent-segments" cannot be given with "--clips", "--views" or "--protocol"',
    )
}

/** Returns the settings of the jobs. Paths of files are made absolute. */
export function settingsOf(options: TaskOptions, model: TRecViT): Settings {
  const { task, labels, imageSize, framesPerClip, dtype, deterministic, pool } = options
  const { fps, stride, frames, decoder, onError, pixelAspect, raw, rate, clips, views } = {
    ...(options.protocol && { ...PAPER, views: '3' as const }),
    ...options,
  }
  const { independentSegments, topK = 5, window = windowOf(model.config) } = options
  return {
    task,
    model: defined({
      model: existsSync(options.model) ? resolve(options.model) : options.model,
      labels: labels && resolve(labels),
      ...{ imageSize, framesPerClip, dtype, deterministic },
    }),
    fingerprint: model.fingerprint,
    classes: namesOf(model),
    reading: defined({
      ...{ fps, stride, frames, decoder, onError, pixelAspect, raw, rate, topK, window, clips },
      views: views && ((views === '3' ? 3 : 1) as 1 | 3),
      quiet: true,
    }),
    ...defined({ pool, independentSegments }),
  }
}

/** Returns an object without the fields that are undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

/** Returns a short hash of what the results depend on. The path of the model is not part of it. */
export function settingsHash({ model: { model: _, ...model }, ...settings }: Settings): string {
  return hashOf(JSON.stringify({ model, ...settings })).slice(0, 16)
}

/**
 * Returns the name of a job: the same for the same content, settings and place of its result.
 * @param content of the video, from `contentOf`
 * @param hash of the settings
 * @param place file of the features, or part of the video; none by default
 */
export function nameOf(content: string, hash: string, place?: string | Part): string {
  return `v${hashOf(JSON.stringify([content, hash, place])).slice(0, 40)}`
}

/** Returns the names of the settings that differ. */
export function changesOf(before: Settings, now: Settings): string[] {
  const flat = ({ task, fingerprint, model, classes, reading, ...rest }: Settings) => ({
    task,
    'model (fingerprint)': fingerprint,
    ...{ ...model, model: undefined, labels: classes },
    ...reading,
    ...rest,
  })
  const [one, other]: Record<string, unknown>[] = [flat(before), flat(now)]
  return [...new Set([...Object.keys(one!), ...Object.keys(other!)])]
    .filter((name) => JSON.stringify(one![name]) !== JSON.stringify(other![name]))
    .map((name) => `"${flagOf(name)}"`)
}

/** Returns the SHA-256 as hexadecimal digits. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
