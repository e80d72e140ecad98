/**
 * Opens WebGPU: `navigator.gpu` in browsers and Deno, the optional package `webgpu` (Dawn) in Node
 * and Bun.
 */

import { importOptional } from './platform.ts'

/** A device of the best adapter, or the reason why there is none. */
export type OpenedGpu =
  | {
      readonly device: GPUDevice
      readonly isSoftware: boolean
      /**
       * References to hold as long as the device is used. Dawn frees its objects together with the
       * entry point. Deno panics if it reads the information of an adapter that was
       * garbage-collected.
       */
      readonly kept: readonly [GPU, GPUAdapter]
      readonly toggles: readonly string[] | null
      /** Features of WGSL that kernels use. */
      readonly wgsl: readonly string[]
    }
  | { readonly reason: string }

/** Optional features that kernels and profiles use. */
export const OPTIONAL: readonly GPUFeatureName[] = ['subgroups', 'timestamp-query']

/** The language feature of WGSL that int8 kernels use. */
const DOTS = 'packed_4x8_integer_dot_product'

/** Returns the language features of WGSL that kernels use. */
export function wgslOf({ wgslLanguageFeatures }: GPU): string[] {
  return wgslLanguageFeatures?.has(DOTS) ? [DOTS] : []
}

/**
 * Toggles of Dawn. Kernels write workgroup memory before they read it, so Dawn need not clear it.
 * Clearing costs SwiftShader seconds per pipeline.
 */
const TOGGLES = ['disable_workgroup_init']

/**
 * Entry points of Dawn that have an adapter, by toggles. Models share them, as they share
 * `navigator.gpu`: another one would load the drivers again, which takes up to seconds.
 */
const entries = new Map<string, GPU>()

/** What experimental kernels need: toggles of Dawn, and optional features of WebGPU. */
interface Also {
  readonly toggles: readonly string[]
  readonly features: readonly string[]
}

/**
 * Requests a device with the adapter's largest buffers and its optional features.
 * @param gpu the entry point to use instead of the runtime's own, for example `create([...])` of
 * npm `webgpu`
 * @param also further toggles, and features to request if the adapter has them
 */
export async function openGpu(gpu?: GPU, also?: Also): Promise<OpenedGpu> {
  const { entry, toggles } = gpu ? { entry: gpu, toggles: null } : await entryPoint(also?.toggles)
  if (!entry) return { reason: 'this runtime has neither WebGPU nor the package "webgpu"' }
  try {
    const request = (): Promise<GPUAdapter | null> =>
      entry.requestAdapter({ powerPreference: 'high-performance' })
    const adapter = await (gpu || !toggles ? request() : withRuntimeFolder(request))
    if (!adapter) return { reason: 'WebGPU has no adapter: no graphics driver' }
    // Dawn's null backend only compiles. It computes nothing.
    if (adapter.info.device === 'null-backend')
      return { reason: 'WebGPU has no adapter that computes' }
    if (toggles) entries.set(String(toggles), entry)
    const features = also?.features.filter((name) => adapter.features.has(name)) ?? []
    const device = await adapter.requestDevice(deviceDescriptor(adapter, features))
    return {
      device,
      isSoftware: adapter.info.isFallbackAdapter,
      kept: [entry, adapter],
      toggles,
      wgsl: [...wgslOf(entry), ...features],
    }
  } catch (error) {
    return { reason: `WebGPU refuses: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Returns the name of an adapter. Browsers give less detail than other runtimes. */
export function adapterName({ vendor, architecture, description }: GPUAdapterInfo): string {
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unknown GPU'
}

/** Names of the limits that kernels depend on. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxStorageBuffersPerShaderStage',
] as const
type Limit = (typeof LIMITS)[number]

/** Returns the limits and optional features of an adapter or a device that kernels depend on. */
export function relevantOf({ limits, features }: Pick<GPUAdapter, 'limits' | 'features'>): {
  limits: Record<Limit, number>
  features: GPUFeatureName[]
} {
  return {
    limits: Object.fromEntries(LIMITS.map((name) => [name, limits[name]])) as Record<Limit, number>,
    features: OPTIONAL.filter((feature) => features.has(feature)),
  }
}

/**
 * Returns the descriptor to request a device with: the largest buffers and workgroup memory of the
 * adapter, and the optional features.
 * @param also further features of the adapter
 */
export function deviceDescriptor(
  adapter: GPUAdapter,
  also: readonly string[] = [],
): GPUDeviceDescriptor {
  const { limits, features } = relevantOf(adapter)
  return {
    requiredLimits: limits,
    requiredFeatures: [...features, ...(also as GPUFeatureName[])],
  }
}

async function entryPoint(also: readonly string[] = []): Promise<{
  entry: GPU | undefined
  toggles: readonly string[] | null
}> {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
  if (navigator?.gpu) return { entry: navigator.gpu, toggles: null }
  try {
    const { create } = (await importOptional('webgpu')) as typeof import('webgpu')
    const toggles = [...TOGGLES, ...also]
    const names = String(toggles)
    const entry = entries.get(names) ?? (create([`enable-dawn-features=${names}`]) as GPU)
    return { entry, toggles }
  } catch {
    return { entry: undefined, toggles: null }
  }
}

/**
 * Calls Dawn with XDG_RUNTIME_DIR set. Without it, drivers write an error to the console. Any
 * folder works. Dawn reads the variable before the call returns, so no other code sees the change.
 */
function withRuntimeFolder<T>(call: () => T): T {
  const { env } = (
    globalThis as unknown as { process: { env: Record<string, string | undefined> } }
  ).process
  if (env['XDG_RUNTIME_DIR'] !== undefined) return call()
  env['XDG_RUNTIME_DIR'] = '/tmp'
  try {
    return call()
  } finally {
    delete env['XDG_RUNTIME_DIR']
  }
}
