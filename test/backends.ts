import type { Backend } from '../src/backend/backend.ts'
import { type Binaries, type Build, compile } from '../src/backend/wasm/builds.ts'
import { BASE } from '../src/backend/wasm/kernels.ts'
import type { Machine } from '../src/backend/wasm/machine.ts'
import { ThreadPool } from '../src/backend/wasm/threadPool.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import type { Weight } from '../src/program/program.ts'
import { adapter, adapterName, full, openDevice } from './gpu.ts'

/** A backend under test and how exactly it computes. */
export interface BackendUnderTest {
  readonly name: string
  /** Relative error of one operation: half the distance from 1 to the next number. */
  readonly unit: number
  /** Smallest positive number it keeps; what is smaller may become 0. */
  readonly smallest: number
  /**
   * NaN and infinity may come out as anything, though not beside where they should be: WGSL lets a
   * GPU take for granted that there are none.
   */
  readonly finiteOnly: boolean
  create(weights: readonly Weight[]): Promise<Backend>
}

/**
 * Everything that tests of operations and models run on; the GPU if there is one (webgpu.test.ts
 * says so if there is none). WGSL allows a quotient and a root 2.5 units in the last place, but
 * software GPUs round them correctly; a GPU of hardware needs 5 times the unit.
 */
export const backends: readonly BackendUnderTest[] = [
  ...(await runnable()).map((build) =>
    cpu(build === 'simd' ? 'wasm' : `wasm ${build}`, async (weights) =>
      WasmBackend.create(weights, undefined, build),
    ),
  ),
  ...(await gpuBackends(`webgpu ${adapterName}`, {})),
]

/**
 * Builds of the CPU's kernels that this engine knows: the relaxed ones are not everywhere, the wide
 * ones are for Node alone.
 */
export async function runnable(): Promise<Build[]> {
  const node = 'process' in globalThis && !('Deno' in globalThis) && !('Bun' in globalThis)
  const builds: Build[] = ['simd', 'relaxed', ...(node ? (['wide', 'wide-relaxed'] as const) : [])]
  const known = await Promise.all(
    builds.map((build) =>
      compile(build, true).then(
        () => [build],
        () => [],
      ),
    ),
  )
  return known.flat()
}

/**
 * The same, and the GPU with all that it has: operations that gain by subgroups or by more
 * workgroup memory have kernels for both.
 */
export const fullBackends: readonly BackendUnderTest[] = [
  ...backends,
  ...(await gpuBackends(`webgpu ${adapterName} in full`, full)),
]

async function gpuBackends(
  name: string,
  descriptor: GPUDeviceDescriptor | null,
): Promise<BackendUnderTest[]> {
  if (!adapter || !descriptor) return []
  const device = await openDevice(descriptor)
  const { isFallbackAdapter: software } = adapter.info
  return [
    {
      name,
      unit: (software ? 1 : 5) * 2 ** -24,
      smallest: 2 ** -126,
      finiteOnly: !software,
      create: (weights) => WebGpuBackend.create(device, weights),
    },
  ]
}

/**
 * The CPU as far as it is beside the caller, with machines of its own for each backend: what a
 * whole model runs on. Nine threads are more than parts that a step has.
 */
export const beside: readonly BackendUnderTest[] = [
  ...[1, 2, 3, 4, 9].map((threads) =>
    onMachine(`wasm on ${threads} threads`, async () =>
      ThreadPool.shared(await compile('simd', true), threads, undefined),
    ),
  ),
  onMachine('wasm in a worker', async () =>
    ThreadPool.single(await compile('simd', false), undefined),
  ),
]

/**
 * Tags of the tests on a backend (vitest.config.ts): by default one build for the CPU runs, and one
 * GPU.
 */
export function tagsOf({ name }: Pick<BackendUnderTest, 'name'>): string[] {
  const quick = /^(reference|wasm|wasm on 2 threads|wasm in a worker|webgpu \S+)$/
  return [...(quick.test(name) ? [] : ['slow']), ...(name.startsWith('webgpu') ? ['gpu'] : [])]
}

/** Three threads that all operations of a test file share; one backend at a time. */
export const threadPool: BackendUnderTest = poolOf()

/**
 * Three threads that all operations of a test file share; one backend at a time.
 * @param binaries kernels of inference by default
 */
export function poolOf(binaries?: Binaries): BackendUnderTest {
  let shared: Promise<ThreadPool> | undefined
  return onMachine('wasm on a thread pool', async () => {
    const machine = await (shared ??= compile('simd', true, binaries).then((module) =>
      ThreadPool.shared(module, 3, undefined),
    ))
    // A machine is the backend's own: its memory must be as new.
    return new Proxy(machine, {
      get: (of, property) => {
        if (property === 'dispose') return () => of.memory.clear(BASE, of.memory.size - BASE)
        const value = Reflect.get(of, property, of) as unknown
        return typeof value === 'function' ? (value.bind(of) as unknown) : value
      },
    })
  })
}

function onMachine(name: string, open: () => Promise<Machine>): BackendUnderTest {
  return cpu(name, async (weights) => WasmBackend.create(weights, await open()))
}

function cpu(name: string, create: BackendUnderTest['create']): BackendUnderTest {
  return { name, unit: 2 ** -24, smallest: 2 ** -149, finiteOnly: false, create }
}
