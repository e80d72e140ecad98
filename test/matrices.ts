/**
 * GPUs with matrix units for tests: Dawn, started with the toggles that the feature needs. Of the
 * software GPUs only lavapipe of Mesa 26 has them.
 */
import { NEEDED } from '../src/backend/webgpu/matrix.ts'
import { deviceDescriptor } from '../src/platform/gpu.ts'

// Entry points stay referenced: objects of Dawn must not be used after these are collected.
const entries: GPU[] = []

/** Starts Dawn with the toggles of matrix units. */
export async function startDawn(...options: string[]): Promise<GPU> {
  const { create } = await import('webgpu')
  const toggles = ['disable_workgroup_init', ...NEEDED.toggles]
  const entry = create([...options, `enable-dawn-features=${toggles.join(',')}`])
  entries.push(entry)
  return entry
}

/** Opens a device with all features that the kernels may use. */
export async function openDevice(entry: GPU): Promise<{ device: GPUDevice; adapter: GPUAdapter }> {
  const adapter = (await entry.requestAdapter())!
  const device = await adapter.requestDevice(deviceDescriptor(adapter, NEEDED.features))
  return { device, adapter }
}

async function find(): Promise<GPU | null> {
  if (!('process' in globalThis) || 'Deno' in globalThis) return null
  process.env['XDG_RUNTIME_DIR'] ??= '/tmp'
  const entry = await startDawn()
  const features = (await entry.requestAdapter())?.features
  return NEEDED.features.every((name) => features?.has(name)) ? entry : null
}

/** An entry point whose adapter has matrix units, or null. */
export const gpu: GPU | null = await find()
