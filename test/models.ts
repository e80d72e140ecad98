/** Loads the golden models on any backend. */
import type { MatrixDType } from '../src/backend/backend.ts'
import { Engine } from '../src/backend/engine.ts'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import type { Config } from '../src/model/config.ts'
import { type ProgramOptions, recordModel } from '../src/model/graph.ts'
import { checkTensors, inferConfig } from '../src/model/infer.ts'
import { loadWeights } from '../src/model/load.ts'
import type { SessionOptions } from '../src/model/sessions.ts'
import { weightTable } from '../src/model/weights.ts'
import { kindOf, type Program } from '../src/program/program.ts'
import { Session } from '../src/stream/session.ts'
import type { BackendUnderTest } from './backends.ts'
import { goldenUrl } from './goldens.ts'

export type { SessionOptions }

/** The golden models: files, and the configuration that their tensors do not determine. */
export const models: readonly { readonly name: string; readonly given: Partial<Config> }[] = [
  { name: 'mu', given: { framesPerClip: 4 } },
  { name: 'small', given: { framesPerClip: 6 } },
  { name: 'small_gap', given: { framesPerClip: 6, imageSize: [64, 64] } },
]

/** A golden model on one backend. */
export interface GoldenModel {
  readonly config: Config
  program(options: ProgramOptions): Program
  session(options: SessionOptions): Session
}

/** Loads `<name>.npz` from the goldens on a backend. */
export async function loadModel(
  create: BackendUnderTest['create'],
  name: string,
  given: Partial<Config> = {},
  dtype: MatrixDType = 'f32',
): Promise<GoldenModel> {
  const checkpoint = await openCheckpoint(goldenUrl(`${name}.npz`))
  const config = inferConfig(checkpoint.name, checkpoint.tensors, given)
  checkTensors(checkpoint.name, checkpoint.tensors, config)
  const backend = await create(weightTable(config, dtype))
  await loadWeights(checkpoint, config, backend, { dtype })
  await checkpoint.close()
  const engine = new Engine(backend)
  const none = () => Promise.reject(new Error('There is no other backend in this test'))
  const programs = new Map<string, Program>()
  const program = (options: ProgramOptions) => {
    const key = JSON.stringify(options)
    if (!programs.has(key)) programs.set(key, recordModel(config, { ...options, dtype }))
    return programs.get(key)!
  }
  return {
    config,
    program,
    session: ({ b, recent, encoded }) => {
      const kind = kindOf(recent)
      return new Session(
        { current: engine, closed: false, get: none, replace: none, warn() {} },
        b,
        (t, pixels) => program({ b, t, pixels, recent: kind, encoded }),
        recent,
      )
    },
  }
}
