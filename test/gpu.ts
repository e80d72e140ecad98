/**
 * The GPU that tests run on: that of the runtime where it has one (Deno, pages); else, through the
 * package `webgpu`, whatever VK_DRIVER_FILES names, else the machine's own, else the SwiftShader
 * that comes with Debian's chromium (apt-get install chromium libvulkan1). One to a process, for
 * that is how drivers are chosen.
 */

import { everything } from '../src/platform/gpu.ts'

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'

// The entry points are kept: objects of Dawn must not be used after they were collected.
const entries: GPU[] = []
// And adapters: Deno panics when a device is asked whose it is and its adapter was collected.
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
  // Otherwise SwiftShader needs seconds for each pipeline with workgroup memory, and zeros would
  // hide what a kernel reads before it writes.
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

/** What it has to give, asked before it gives anything: Deno panics afterwards. */
export const full: GPUDeviceDescriptor | null = adapter && everything(adapter)

/** The entry point of WebGPU that has it, or null. */
export const gpu: GPU | null = adapter && entries[entries.length - 1]!

/** Name of the adapter for titles and reports. */
export const adapterName: string = nameOf(adapter)

/**
 * Opens a new device, by default with the smallest limits that WebGPU allows. An error outside of
 * an error scope ends the process.
 */
export async function openDevice(descriptor: GPUDeviceDescriptor = {}): Promise<GPUDevice> {
  // An adapter gives one device.
  const own = (await entries[entries.length - 1]!.requestAdapter())!
  const device = await own.requestDevice(descriptor)
  adapters.push(own)
  device.addEventListener('uncapturederror', ({ error }) => {
    throw new Error(`Uncaptured error of the GPU: ${error.message}`)
  })
  return device
}

/** The name of the driver; browsers that hide it tell the architecture. */
function nameOf(adapter: GPUAdapter | null): string {
  return adapter
    ? adapter.info.description.replace(/[ :(].*/, '') || adapter.info.architecture || 'unnamed'
    : 'none'
}
