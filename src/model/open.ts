import type { Backend, MatrixDType } from '../backend/backend.ts'
import { Engines } from '../backend/engines.ts'
import { TrecvitError } from '../base/error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { openNamed } from '../named.ts'
import type { Config } from './config.ts'
import { carriedConfig, checkTensors, inferConfig } from './infer.ts'
import { labelsFor } from './labels.ts'
import { type Loaded, loadWeights, storedDType } from './load.ts'
import { nameWarnings, openOfficial } from './official.ts'
import { checkLoadOptions, type LoadOptions, type ModelSource } from './options.ts'
import { smallPrograms } from './smallModel.ts'
import { weightTable } from './weights.ts'

/** The parts of a loaded model. */
export interface Opened extends Loaded {
  readonly config: Config
  readonly dtype: MatrixDType
  /** Names of the classes, or null. */
  readonly labels: readonly string[] | null
  readonly engines: Engines
}

/** See TRecViT.load. */
export async function openModel(source: ModelSource, options: LoadOptions): Promise<Opened> {
  checkLoadOptions(options)
  const { device = 'auto', gpu, gpuMatrix, ...others } = options
  const { config: given, labels: names, onProgress, signal, ...cpu } = others
  const from = await openNamed(source, options)
  const official = await openOfficial(from, signal ? { signal } : {})
  const { checkpoint } = official
  const { name, tensors, skipped, metadata } = checkpoint
  try {
    const config = inferConfig(
      name,
      tensors,
      { ...carriedConfig(metadata['config']), ...given },
      skipped,
    )
    const ignored = checkTensors(name, tensors, config, skipped)
    const labels = await labelsFor(config.numClasses, names, metadata['labels'])
    const dtype = options.dtype ?? storedDType(tensors, config)
    let loaded: Loaded | undefined
    // Set to undefined after loading, which frees the memory of the reader.
    let opened: Checkpoint | undefined = checkpoint
    const fill = async (backend: Backend, closing: AbortSignal): Promise<void> => {
      // A later engine reads the file again.
      if (loaded) await reload(from, config, dtype, backend, loaded.fingerprint, closing)
      else loaded = await loadWeights(opened!, config, backend, { dtype, onProgress, signal })
    }
    const weights = weightTable(config, dtype)
    const engines = await Engines.open(device, {
      weights,
      dtype,
      fill,
      smallPrograms: smallPrograms(config, dtype),
      cpu,
      gpu,
      matrices: gpuMatrix === 'auto',
    })
    opened = undefined
    const { fingerprint, warnings } = loaded!
    return {
      config,
      dtype,
      labels,
      engines,
      fingerprint,
      warnings: [...warnings, ...nameWarnings(official, ignored)],
    }
  } finally {
    await checkpoint.close()
  }
}

/**
 * Writes the weights of a later engine.
 * @throws TrecvitError if the file has changed since the model was loaded
 */
async function reload(
  from: ModelSource,
  config: Config,
  dtype: MatrixDType,
  backend: Backend,
  fingerprint: string,
  signal: AbortSignal,
): Promise<void> {
  const { checkpoint } = await openOfficial(from, { signal })
  try {
    checkTensors(checkpoint.name, checkpoint.tensors, config, checkpoint.skipped)
    const again = await loadWeights(checkpoint, config, backend, { dtype, signal })
    if (again.fingerprint !== fingerprint)
      throw new TrecvitError(
        `${checkpoint.name} has changed since the model was loaded; load it again`,
      )
  } finally {
    await checkpoint.close()
  }
}
