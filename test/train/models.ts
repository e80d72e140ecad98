/** The golden models of training, and their configurations. */
import { type Config, configOf } from '../../src/model/config.ts'
import { parametersOf } from '../../src/model/weights.ts'
import type { DecoderConfig } from '../../src/train/maskedModel.ts'
import type { Parameters } from '../../src/train/weights.ts'
import configs from '../goldens/train_configs.json' with { type: 'json' }
import { Goldens } from '../goldens.ts'

type Name = 'tok' | 'gap' | 'mlp' | 'patch16'

/** Returns the configuration of a golden model. */
export function goldenConfig(name: Name): Config {
  const given = configs[`model_${name}.npz`]
  return configOf('mu', {
    ...{ width: given.width, depth: given.depth, mlpDim: given.mlp_dim },
    ...{ numHeads: given.num_heads, numClasses: given.num_classes, repSize: given.rep_size },
    ...{ framesPerClip: given.frames_per_clip, patchSize: [given.patch, given.patch] },
    imageSize: given.image_size as [number, number],
    conv1dTemporalWidth: given.conv1d_temporal_width,
    lruWidth: given.width * given.state_multiplier,
    posemb: given.posemb as Config['posemb'],
    poolType: given.pool_type as Config['poolType'],
    useMlp: given.use_mlp,
  })
}

/** Returns the parameters of a golden model. */
export async function goldenParameters(name: Name): Promise<Parameters> {
  const goldens = await Goldens.open(`model_${name}.npz`)
  return new Map(
    parametersOf(goldenConfig(name)).map((parameter) => [
      parameter.name,
      goldens.get(parameter.name).values,
    ]),
  )
}

/** The golden masked auto-encoder. */
export async function goldenMasked(): Promise<{
  readonly config: Config
  readonly decoder: DecoderConfig
  readonly parameters: Parameters
}> {
  const given = configs['model_mae.npz']
  const config = configOf('mu', {
    ...{ width: given.width, depth: given.depth, mlpDim: given.mlp_dim },
    ...{ numHeads: given.num_heads, numClasses: 0, repSize: 0, poolType: 'gap' },
    ...{ patchSize: [given.patch, given.patch] },
    imageSize: given.image_size as [number, number],
    lruWidth: given.width * given.state_multiplier,
  })
  const { width, depth, mlp_dim: mlpDim, num_heads: numHeads } = given.mae_decoder
  const goldens = await Goldens.open('model_mae.npz')
  return {
    config,
    decoder: { width, depth, mlpDim, numHeads },
    parameters: new Map(goldens.names.map((name) => [name, goldens.get(name).values])),
  }
}
