/**
 * Reads configuration and labels of a checkpoint without its weights, for inspect and convert.
 */
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { Config } from '../model/config.ts'
import { carriedConfig, checkTensors, inferConfig } from '../model/infer.ts'
import { labelsFor } from '../model/labels.ts'
import { nameWarnings, openOfficial } from '../model/official.ts'
import { openNamed } from '../named.ts'
import { givenConfig, readLabels } from './model.ts'
import type { ConfigOptions } from './options.ts'

/** An open checkpoint with its configuration. */
export interface Description {
  readonly checkpoint: Checkpoint
  readonly config: Config
  /** Origin of the two fields that names and shapes of tensors do not always determine. */
  readonly sources: { readonly framesPerClip: Origin; readonly imageSize: Origin }
  /** Names of tensors that are not part of the model. */
  readonly ignored: readonly string[]
  /** Warnings about the names in the file. Each is a sentence. */
  readonly warnings: readonly string[]
  readonly labels: readonly string[] | null
}

/** Origin of a value: an option, the metadata, the tensor shapes, or the official configuration. */
export type Origin = 'option' | 'metadata' | 'shapes' | 'default'

/**
 * Opens a checkpoint. The caller closes it.
 * @throws TrecvitError if it cannot be read or is not a TRecViT model
 */
export async function describeCheckpoint(
  source: string,
  options: ConfigOptions,
  signal: AbortSignal,
): Promise<Description> {
  const official = await openOfficial(await openNamed(source, { signal }), { signal })
  const { checkpoint } = official
  try {
    const carried = carriedConfig(checkpoint.metadata['config'])
    const given = givenConfig(options)
    const config = inferConfig(
      checkpoint.name,
      checkpoint.tensors,
      { ...carried, ...given },
      checkpoint.skipped,
    )
    const originOf = (field: 'framesPerClip' | 'imageSize', otherwise: Origin) =>
      given[field] ? 'option' : carried[field] ? 'metadata' : otherwise
    const ignored = checkTensors(checkpoint.name, checkpoint.tensors, config, checkpoint.skipped)
    return {
      checkpoint,
      config,
      ignored,
      warnings: nameWarnings(official, ignored),
      sources: {
        framesPerClip: originOf('framesPerClip', 'default'),
        imageSize: originOf('imageSize', 'shapes'),
      },
      labels: await labelsOf(config, options, checkpoint.metadata['labels']),
    }
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

/**
 * Returns the names of the classes: from the option, from the metadata of the file, or else the
 * known labels for this number of classes.
 * @throws TrecvitError if their number is wrong
 */
export async function labelsOf(
  config: Config,
  { labels }: Pick<ConfigOptions, 'labels'>,
  carried?: string,
): Promise<readonly string[] | null> {
  return labelsFor(
    config.numClasses,
    labels === undefined ? undefined : await readLabels(labels),
    carried,
  )
}
