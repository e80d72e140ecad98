/**
 * Parses and loads the models in the options of a server.
 */
import { InvalidArgumentError } from 'commander'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { hasClassHead } from '../../model/config.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { openModel } from '../model.ts'
import type { ModelOptions } from '../options.ts'

/** A model that is not loaded yet. */
export interface NamedSource {
  /** Name in URLs. */
  readonly name: string
  /** Path, URL, or name of weights. */
  readonly source: string
}

/** Parses "source" or "name=source". A path with "=" before its first "/" needs a name. */
export function modelSource(text: string, before: readonly NamedSource[] = []): NamedSource[] {
  const [, given, rest = text] = /^([\w.-]+)=(.+)$/.exec(text) ?? []
  const name = given ?? fileName(rest)
  if (before.some((other) => other.name === name))
    throw new InvalidArgumentError(
      `The name ${quote(name)} is taken; give another, like other=${rest}.`,
    )
  return [...before, { name, source: rest }]
}

/** Returns the file name without folders and extension. */
function fileName(source: string): string {
  const file = source
    .replace(/[?#].*$/, '')
    .split(/[/\\]/)
    .at(-1)!
  return file.replace(/\.\w+$/, '') || 'model'
}

/**
 * Loads the models one after another.
 * @param workerUrl script of the compute threads
 * @throws TrecvitError if a model cannot be loaded or has no class head
 */
export async function openModels(
  sources: readonly NamedSource[],
  options: Omit<ModelOptions, 'model'>,
  signal: AbortSignal,
  workerUrl: URL,
): Promise<Map<string, TRecViT>> {
  const { labels, imageSize, framesPerClip } = options
  if (sources.length > 1 && (labels ?? imageSize ?? framesPerClip) !== undefined)
    throw new TrecvitError(
      '"--labels", "--image-size" and "--frames-per-clip" expected one model, ' +
        `got ${sources.length}; write them into the files with "trecvit convert"`,
    )
  const models = new Map<string, TRecViT>()
  for (const { name, source } of sources) {
    const model = await openModel({ ...options, model: source }, signal, workerUrl)
    if (!hasClassHead(model.config))
      throw new TrecvitError(
        '"serve" expected a model with a class head, ' +
          `${quote(source)} has an encoder only; use "features"`,
      )
    models.set(name, model)
  }
  return models
}
