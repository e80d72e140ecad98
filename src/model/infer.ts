import { TrecvitError } from '../base/error.ts'
import { scalesOf } from '../program/program.ts'
import { type Config, checkConfig, hasClassHead } from './config.ts'
import { spatialPath, temporalPath } from './encoder/graph.ts'
import { int8Parameters, parametersOf } from './weights.ts'

/** Names, shapes and number formats of a checkpoint's tensors. */
export type Shapes = ReadonlyMap<
  string,
  { readonly shape: readonly number[]; readonly dtype?: string }
>

/**
 * Returns the part of the configuration that `convert` stores beside the tensors, because names and
 * shapes do not determine it.
 * @param json "config" in the metadata of a checkpoint
 * @throws TrecvitError if it is no JSON
 */
export function carriedConfig(json: string | undefined): Partial<Config> {
  if (json === undefined) return {}
  try {
    const { framesPerClip, imageSize } = JSON.parse(json) as Partial<Config>
    return {
      ...(framesPerClip !== undefined && { framesPerClip }),
      ...(imageSize !== undefined && { imageSize }),
    }
  } catch {
    throw new TrecvitError('The "config" in the metadata is not JSON; convert the checkpoint again')
  }
}

/** A tensor of one of the model's parts, and of a layer. */
const PART = /^(tokenizer|encoder|decoder)\//
const LAYER = /^encoder\/residualblock_(\d+)\//

/** Entries of a checkpoint that are not numbers, with the reason why each is not read. */
type Skipped = ReadonlyMap<string, string>

/**
 * Derives the configuration from names and shapes. They do not determine the frames of a clip (32
 * by default, as in the official configuration). They do not determine the image size either, if
 * positions are not learned or the grid of patches is not square. These fields must be given. With
 * numClasses 0, a head in the file is ignored.
 * @param skipped entries that are no numbers; if the model needs one, the error says so
 * @throws TrecvitError naming the tensor or field that is missing or does not fit
 */
export function inferConfig(
  file: string,
  tensors: Shapes,
  given: Partial<Config>,
  skipped: Skipped = new Map(),
): Config {
  const shapeOf = (name: string, axes: number): readonly number[] => {
    const found = tensors.get(name)
    if (!found)
      throw new TrecvitError(
        skipped.get(name) ?? `${file} has no tensor "${name}", so it is not a TRecViT checkpoint`,
      )
    if (found.shape.length !== axes)
      throw new TrecvitError(
        `"${name}" in ${file} expected ${axes} axes, got shape [${found.shape}]`,
      )
    return found.shape
  }
  const names = [...tensors.keys()]
  const temporal = `${temporalPath(0)}/recurrent_block`
  const spatial = spatialPath(0)
  const [patchTime, patchHeight, patchWidth, , width] = shapeOf(
    'tokenizer/embedding/kernel',
    5,
  ) as [number, number, number, number, number]
  if (patchTime !== 1)
    throw new TrecvitError(
      `"tokenizer/embedding/kernel" in ${file} expected patches of 1 frame, got ${patchTime}`,
    )
  const posemb = tensors.has('tokenizer/pos_embedding') ? 'learn' : 'sincos2d'
  const hasHead = given.numClasses !== 0 && names.some((name) => name.startsWith('decoder/'))

  const config: Config = {
    width,
    depth: new Set(names.flatMap((name) => LAYER.exec(name)?.[1] ?? [])).size,
    mlpDim: shapeOf(`${spatial}/MlpBlock_0/Dense_0/kernel`, 2)[1]!,
    numHeads: shapeOf(`${spatial}/MultiHeadDotProductAttention_0/query/kernel`, 3)[1]!,
    numClasses: hasHead ? shapeOf('decoder/cls_head/kernel', 2)[1]! : 0,
    repSize: hasHead ? shapeOf('decoder/pre_logits/kernel', 2)[1]! : 0,
    framesPerClip: 32,
    patchSize: [patchHeight, patchWidth],
    conv1dTemporalWidth: shapeOf(`${temporal}/conv_1d/w`, 2)[0]!,
    lruWidth: shapeOf(`${temporal}/linear_x/kernel`, 2)[1]!,
    posemb,
    poolType: tensors.has('tokenizer/cls') ? 'tok' : 'gap',
    useMlp: names.some((name) => name.includes('/mlp_block/')),
    imageSize: given.imageSize ?? squareImage(),
    ...given,
  }
  checkConfig(config)
  return config

  function squareImage(): readonly [number, number] {
    if (posemb !== 'learn')
      throw new TrecvitError(
        `${file} has fixed positions, which do not determine the image size; ` +
          'give config.imageSize [height, width]',
      )
    const patches = shapeOf('tokenizer/pos_embedding', 3)[1]!
    const side = Math.round(Math.sqrt(patches))
    if (side * side !== patches)
      throw new TrecvitError(
        `${file} has ${patches} positions, which do not form a square grid; ` +
          'give config.imageSize [height, width]',
      )
    return [side * patchHeight, side * patchWidth]
  }
}

/**
 * Compares the tensors of a file with a configuration: every tensor of the model must be in the
 * file, and the other way round.
 * @param skipped entries that are no numbers
 * @returns names outside the model's three parts, which the official loader ignores, too; and those
 * of an ignored head
 * @throws TrecvitError naming the first tensor that is missing, unknown within the three parts, or
 * of another shape
 */
export function checkTensors(
  file: string,
  tensors: Shapes,
  config: Config,
  skipped: Skipped = new Map(),
): string[] {
  const known = new Set<string>()
  const check = (name: string, shape: readonly number[], who: string): void => {
    known.add(name)
    const found = tensors.get(name)
    if (!found) {
      const lack = `${file} has no tensor "${name}" [${shape}], which ${who} needs`
      throw new TrecvitError(skipped.get(name) ?? lack)
    }
    if (String(found.shape) !== String(shape)) {
      throw new TrecvitError(`"${name}" in ${file} expected shape [${shape}], got [${found.shape}]`)
    }
  }
  for (const { name, shape } of parametersOf(config)) check(name, shape, 'this configuration')
  for (const [name, { blocks, columns }] of int8Parameters(config)) {
    if (tensors.get(name)!.dtype !== 'i8') continue
    check(scalesOf(name), [blocks * columns], 'its matrix of int8 numbers')
  }
  return [...tensors.keys(), ...skipped.keys()].filter((name) => {
    if (known.has(name)) return false
    const inModel = PART.test(name) && (hasClassHead(config) || !name.startsWith('decoder/'))
    if (inModel)
      throw new TrecvitError(
        skipped.get(name) ??
          `${file} has a tensor "${name}" [${tensors.get(name)!.shape}] outside the model`,
      )
    return true
  })
}
