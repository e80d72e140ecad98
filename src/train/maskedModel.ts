/**
 * The model of a masked auto-encoder: the encoder of a TRecViT without a class token, and a decoder
 * of the same layers. The authors have not published their decoder, so `mae_decoder/...` are names
 * of this project.
 */
import { TrecvitError } from '../base/error.ts'
import { type Config, checkConfig, gridOf, type LayersConfig } from '../model/config.ts'
import { addLayers } from '../model/encoder/tensors.ts'
import { sincos2d } from '../model/math.ts'
import { type Parameter, TensorTable } from '../model/tensorTable.ts'
import { parametersOf } from '../model/weights.ts'
import { initialise, initialValues } from './initialise.ts'

/** Path of the decoder in the names of parameters. */
export const DECODER = 'mae_decoder'

/**
 * Configuration of the decoder. Its layers have the temporal taps, the ratio of LRU width to width
 * and the gated MLP of the encoder's.
 */
export type DecoderConfig = Pick<Config, 'width' | 'depth' | 'mlpDim' | 'numHeads'>

/**
 * Returns the decoder of an encoder: four layers of half its width and half its heads, as in
 * VideoMAE.
 * @example
 * decoderFor(configOf('B')) // width 384, 4 layers, MLP width 1536, 6 heads
 */
export function decoderFor({ width, numHeads }: Config): DecoderConfig {
  const heads = Math.max(1, Math.floor(numHeads / 2))
  // A multiple of four channels, which the positions take.
  const decoderWidth = heads * 4 * Math.max(2, Math.ceil(width / (8 * heads)))
  return { width: decoderWidth, depth: 4, mlpDim: 4 * decoderWidth, numHeads: heads }
}

/** Returns the configuration of the encoder of a model: without head and class token. */
export function encoderConfig(config: Config): Config {
  return { ...config, numClasses: 0, repSize: 0, poolType: 'gap' }
}

/**
 * Checks the configurations of a masked auto-encoder.
 * @throws TrecvitError naming the field that is out of range or does not fit another
 */
export function checkMaskedConfig(config: Config, decoder: DecoderConfig): void {
  checkConfig(config)
  const patches = patchesOf(config)
  if (patches < 2)
    throw new TrecvitError('A masked auto-encoder expected at least 2 patches in a frame, got 1')
  try {
    checkConfig({ ...config, ...layersOf(config, decoder), posemb: 'sincos2d' })
  } catch (cause) {
    if (!(cause instanceof TrecvitError)) throw cause
    throw new TrecvitError(`The decoder of the masked auto-encoder is not valid. ${cause.message}`)
  }
}

/** Returns g: the patches of a frame. */
export function patchesOf(config: Config): number {
  const [rows, columns] = gridOf(config)
  return rows * columns
}

/** Returns the configuration of the decoder's layers. */
export function layersOf(config: Config, decoder: DecoderConfig): LayersConfig {
  const { conv1dTemporalWidth, useMlp, lruWidth, width } = config
  const { depth, mlpDim, numHeads } = decoder
  return {
    ...{ width: decoder.width, depth, mlpDim, numHeads, conv1dTemporalWidth, useMlp },
    lruWidth: (decoder.width * lruWidth) / width,
  }
}

/** Returns the tensors of the decoder. */
export function decoderTensors(config: Config, decoder: DecoderConfig): TensorTable {
  const { width } = decoder
  const [rows, columns] = gridOf(config)
  const [py, px] = config.patchSize
  const table = new TensorTable('f32')
  table.dense(`${DECODER}/embed`, [config.width], [width])
  const token = table.parameter(`${DECODER}/mask_token`, 1, 1, width)
  table.weight('matrix', token, [1, 1, width], [token, width])
  table.derived(`${DECODER}/positions`, [rows * columns, width], [], () =>
    sincos2d(rows, columns, width),
  )
  addLayers(table, layersOf(config, decoder), DECODER)
  table.layerNorm(`${DECODER}/decoder_norm`, width)
  table.dense(`${DECODER}/pixels`, [width], [py * px * 3])
  return table
}

/** Returns the parameters of encoder and decoder. */
export function maskedParametersOf(config: Config, decoder: DecoderConfig): Parameter[] {
  return [...parametersOf(encoderConfig(config)), ...decoderTensors(config, decoder).parameters]
}

/**
 * Returns first values of the parameters of a masked auto-encoder: those of the encoder as in
 * `initialise`, and those of the decoder.
 * @param config of a model; its head and its class token have no part
 * @param seed an integer, 0 to 2³² − 1
 * @throws TrecvitError if a configuration or the seed is wrong
 * @example
 * const start = initialiseMasked(config, decoderFor(config), 1)
 */
export function initialiseMasked(
  config: Config,
  decoder: DecoderConfig,
  seed: number,
): Map<string, Float32Array> {
  checkMaskedConfig(config, decoder)
  return new Map([
    ...initialise(encoderConfig(config), seed),
    ...initialValues(
      ...([decoderTensors(config, decoder).parameters, layersOf(config, decoder), seed] as const),
    ),
  ])
}
