import type { Backend } from '../src/backend/backend.ts'
import { type Binaries, type Build, compile } from '../src/backend/wasm/builds.ts'
import { BASE } from '../src/backend/wasm/kernels.ts'
import type { Machine } from '../src/backend/wasm/machine.ts'
import { ThreadPool } from '../src/backend/wasm/threadPool.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import type { Weight } from '../src/program/program.ts'
import { adapter, adapterName, full, openDevice, wgsl } from './gpu.ts'

/** Whether the runtime is Node. */
export const isNode: boolean =
  'process' in globalThis && !('Deno' in globalThis) && !('Bun' in globalThis)

/** A backend under test and its precision. */
export interface BackendUnderTest {
  readonly name: string
  /** Relative error of one operation: half the distance from 1 to the next number. */
  readonly unit: number
  /**
   * Set if numbers are rounded before a product: the largest error of a product relative to it, and
   * the largest absolute errors of numbers of x and of the kernel.
   */
  readonly rounding?: { readonly relative: number; readonly x: number; readonly kernel: number }
  /** Smallest positive number. Smaller results may become 0. */
  readonly smallest: number
  /**
   * NaN and infinity may produce any value, but only where they are expected: WGSL allows a GPU to
   * assume that neither occurs.
   */
  readonly finiteOnly: boolean
  create(weights: readonly Weight[]): Promise<Backend>
}

/**
 * The backends for tests of operations and models. Includes the GPU if there is one; webgpu.test.ts
 * reports if there is none. WGSL allows 2.5 units in the last place for a quotient and a root.
 * Software GPUs round them correctly. Hardware GPUs need 5 times the unit.
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
 * Returns the builds of the CPU kernels that this runtime supports. Relaxed builds need a recent
 * runtime, wide builds need Node.
 */
export async function runnable(): Promise<Build[]> {
  const wide = isNode ? (['wide', 'wide-relaxed'] as const) : []
  const builds: Build[] = ['simd', 'relaxed', ...wide]
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
 * The same backends, and the GPU with its maximum limits. Operations that use subgroups or more
 * workgroup memory have further kernels there.
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
      create: (weights) => WebGpuBackend.create(device, weights, 'f32', { wgsl }),
    },
  ]
}

/**
 * The CPU on worker threads. Each backend has its own machine, as a whole model has. Nine threads
 * are more than the parts of any step.
 */
export const threadedBackends: readonly BackendUnderTest[] = [
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
 * Returns the tags of the tests on a backend (vitest.config.ts). By default one CPU build and one
 * GPU run.
 */
export function tagsOf({ name }: Pick<BackendUnderTest, 'name'>): string[] {
  const quick = /^(reference|wasm|wasm on 2 threads|wasm in a worker|webgpu \S+)$/
  return [...(quick.test(name) ? [] : ['slow']), ...(name.startsWith('webgpu') ? ['gpu'] : [])]
}

/** Returns the tags of tests of a whole model. A software GPU compiles its kernels for seconds. */
export function tagsOfModel({ name }: Pick<BackendUnderTest, 'name'>): string[] {
  return name.startsWith('webgpu') ? ['slow', 'gpu'] : tagsOf({ name })
}

/** Options of the tests on a backend. Those on a GPU overlap, because they wait for it. */
export function optionsOf(backend: Pick<BackendUnderTest, 'name'>): {
  tags: string[]
  concurrent: boolean
} {
  return { tags: tagsOf(backend), concurrent: backend.name.startsWith('webgpu') }
}

/** Three threads, shared by all operations of a test file. Runs one backend at a time. */
export const threadPool: BackendUnderTest = poolOf()

/**
 * Three threads, shared by all operations of a test file. Runs one backend at a time.
 * @param binaries compiled kernels; by default those of inference
 */
export function poolOf(binaries?: Binaries): BackendUnderTest {
  let shared: Promise<ThreadPool> | undefined
  return onMachine('wasm on a thread pool', async () => {
    const machine = await (shared ??= compile('simd', true, binaries).then((module) =>
      ThreadPool.shared(module, 3, undefined),
    ))
    // Each backend expects new memory, so it has its own view of the machine.
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
