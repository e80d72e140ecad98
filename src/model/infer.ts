import { TrecvitError } from '../base/error.ts'
import { scalesOf } from '../program/program.ts'
import { type Config, checkConfig } from './config.ts'
import { spatialPath, temporalPath } from './encoder/graph.ts'
import { int8Parameters, parametersOf } from './weights.ts'

/** Names, shapes and formats of a checkpoint's tensors. */
export type Shapes = ReadonlyMap<
  string,
  { readonly shape: readonly number[]; readonly dtype?: string }
>

/**
 * The part of the configuration that `convert` writes beside the tensors, because they do not tell
 * it.
 * @param json what a checkpoint's metadata holds under "config"
 * @throws TrecvitError if that is no JSON
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
    throw new TrecvitError('The checkpoint carries a "config" that is not JSON; convert it again')
  }
}

/** A tensor of one of the model's parts, and of a layer. */
const PART = /^(tokenizer|encoder|decoder)\//
const LAYER = /^encoder\/residualblock_(\d+)\//

/** Entries of a checkpoint that hold no numbers, and why each is not read. */
type Skipped = ReadonlyMap<string, string>

/**
 * Reads the configuration from names and shapes. What they do not tell is given: the frames of a
 * clip (32 as in the official configuration unless given), and the image size when positions are
 * not learned or the grid of patches is not square. With numClasses 0 given, a head in the file is
 * left aside.
 * @param skipped entries that hold no numbers: an error says so if the model needs one of them
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
        `${file} has fixed positions, which do not tell the image size; ` +
          'give config.imageSize [height, width]',
      )
    const patches = shapeOf('tokenizer/pos_embedding', 3)[1]!
    const side = Math.round(Math.sqrt(patches))
    if (side * side !== patches)
      throw new TrecvitError(
        `${file} has ${patches} positions, which are no square grid; ` +
          'give config.imageSize [height, width]',
      )
    return [side * patchHeight, side * patchWidth]
  }
}

/**
 * Compares the tensors of a file with a configuration, names and shapes both ways.
 * @param skipped entries that hold no numbers
 * @returns names outside the model's three parts, which the official loader ignores, too; and those
 *   of a head that is left aside
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
    const inModel = PART.test(name) && !(config.numClasses === 0 && name.startsWith('decoder/'))
    if (inModel)
      throw new TrecvitError(
        skipped.get(name) ??
          `${file} has a tensor "${name}" [${tensors.get(name)!.shape}] outside the model`,
      )
    return true
  })
}
