/**
 * The GPU for tests. In runtimes with WebGPU (Deno, browsers) it is theirs. Elsewhere the package
 * `webgpu` opens the driver in VK_DRIVER_FILES, else the GPU of the machine, else SwiftShader from
 * Debian's chromium (apt-get install chromium libvulkan1). There is one GPU per process, because
 * drivers are selected per process.
 */

import { deviceDescriptor, wgslOf } from '../src/platform/gpu.ts'

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'

// Entry points stay referenced: objects of Dawn must not be used after these are collected.
const entries: GPU[] = []
// Adapters, too: Deno panics if the info of a device is read after its adapter is collected.
const adapters: GPUAdapter[] = []

async function findAdapter(): Promise<GPUAdapter | null> {
  const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu
  if (own) {
    entries.push(own)
    return own.requestAdapter()
  }
  const { existsSync } = await import('node:fs')
  const { create } = await import('webgpu')
  process.env['XDG_RUNTIME_DIR'] ??= '/tmp'
  // Without this option SwiftShader needs seconds for each pipeline with workgroup memory. Also,
  // zero-initialised memory would hide reads before writes.
  const open = async () => {
    const entry = create(['enable-dawn-features=disable_workgroup_init'])
    entries.push(entry)
    return entry.requestAdapter()
  }
  const found = await open()
  if (found || process.env['VK_DRIVER_FILES'] || !existsSync(SWIFTSHADER)) return found
  process.env['VK_DRIVER_FILES'] = SWIFTSHADER
  return open()
}

/** The adapter, or null. */
export const adapter: GPUAdapter | null = await findAdapter()

/** All limits and features of the adapter. Read before a device is requested: Deno panics later. */
export const full: GPUDeviceDescriptor | null = adapter && deviceDescriptor(adapter)

/** The entry point of WebGPU with this adapter, or null. */
export const gpu: GPU | null = adapter && entries[entries.length - 1]!

/** Language features of WGSL that kernels use. */
export const wgsl: readonly string[] = gpu ? wgslOf(gpu) : []

/** Name of the adapter for titles and reports. */
export const adapterName: string = nameOf(adapter)

/**
 * Opens a new device, by default with the minimum limits of WebGPU. An error outside of an error
 * scope ends the process.
 */
export async function openDevice(descriptor: GPUDeviceDescriptor = {}): Promise<GPUDevice> {
  // An adapter can open only one device.
  const own = (await entries[entries.length - 1]!.requestAdapter())!
  const device = await own.requestDevice(descriptor)
  adapters.push(own)
  device.addEventListener('uncapturederror', ({ error }) => {
    throw new Error(`Uncaptured error of the GPU: ${error.message}`)
  })
  return device
}

/** Returns the name of the driver, or the architecture if a browser hides the name. */
function nameOf(adapter: GPUAdapter | null): string {
  return adapter
    ? adapter.info.description.replace(/[ :(].*/, '') || adapter.info.architecture || 'unnamed'
    : 'none'
}
