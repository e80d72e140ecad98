/** The backends of test/backends.ts with the training kernels. */
import { type Build, compile } from '../../src/backend/wasm/builds.ts'
import { openHere } from '../../src/backend/wasm/open.ts'
import { WasmBackend } from '../../src/backend/wasm/wasm.ts'
import { trainingBinaries } from '../../src/train/cpu.ts'
import { addTrainingShaders } from '../../src/train/gpu.ts'
import { type BackendUnderTest, backends, fullBackends, poolOf } from '../backends.ts'

addTrainingShaders()

/** Those of a GPU have the kernels of training now. */
const training = (backend: BackendUnderTest): BackendUnderTest => {
  if (!backend.name.startsWith('wasm')) return backend
  const build = (backend.name.split(' ')[1] ?? 'simd') as Build
  return {
    ...backend,
    create: async (weights) => {
      const module = await compile(build, true, trainingBinaries)
      return WasmBackend.create(weights, await openHere(build, module), build)
    },
  }
}

export const trainingBackends: readonly BackendUnderTest[] = backends.map(training)

export const fullTrainingBackends: readonly BackendUnderTest[] = fullBackends.map(training)

/** Three threads, shared by all operations of a test file. Runs one backend at a time. */
export const trainingTeam: BackendUnderTest = poolOf(trainingBinaries)
