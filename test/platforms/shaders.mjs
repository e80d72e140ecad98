/**
 * Compiles every gpu/*.wgsl and every entry point in it, and fails on any error or warning.
 *
 *     node test/platforms/shaders.mjs        with Tint: npm `webgpu` on its null backend, no GPU needed
 *     deno run -A test/platforms/shaders.mjs with naga: Deno's own WebGPU, on any adapter, a software one too
 */
import { readdir, readFile } from 'node:fs/promises'

const deno = 'Deno' in globalThis
const gpu = deno ? navigator.gpu : (await import('webgpu')).create(['backend=null'])
const adapter = await gpu.requestAdapter()
if (!adapter) throw new Error('No WebGPU adapter: set VK_DRIVER_FILES to a Vulkan driver, such as that of SwiftShader')
const device = await adapter.requestDevice()
const compiler = deno ? `naga, Deno ${Deno.version.deno}` : 'Tint'

const folder = new URL('../../gpu/', import.meta.url)
const files = (await readdir(folder)).filter((file) => file.endsWith('.wgsl')).sort()
if (!files.length) throw new Error(`No shaders in ${folder.pathname}`)
let faults = 0
const fault = (text) => {
  faults++
  console.error(text)
}

for (const file of files) {
  const code = await readFile(new URL(file, folder), 'utf8')
  device.pushErrorScope('validation')
  const module = device.createShaderModule({ label: file, code })
  for (const { type, lineNum, linePos, message } of (await module.getCompilationInfo()).messages) fault(`${file}:${lineNum}:${linePos} ${type}: ${message}`)
  const error = await device.popErrorScope()
  if (error) {
    fault(`${file}: ${error.message}`)
    continue
  }
  const entries = [...code.matchAll(/@compute @workgroup_size\(\d+\)\s+fn (\w+)/g)].map(([, entry]) => entry)
  if (!entries.length) fault(`${file}: no entry point`)
  // Every switch both ways: what a constant removes has been looked at only where it stays.
  const switches = [...code.matchAll(/^override (\w+): bool/gm)].map(([, name]) => name)
  const numbers = [...code.matchAll(/^override (\w+): u32/gm)].map(([, name]) => name)
  for (const entryPoint of entries) {
    for (const on of [0, 1]) {
      for (const number of numbers.length ? [0, 1, 2] : [0]) {
        const constants = Object.fromEntries([...switches.map((name) => [name, on]), ...numbers.map((name) => [name, number])])
        try {
          await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint, constants } })
        } catch (cause) {
          fault(`${file}/${entryPoint} ${JSON.stringify(constants)}: ${cause.message}`)
        }
      }
    }
  }
}
console.log(`${compiler}: ${files.length} shaders, ${faults} faults`)
device.destroy()
if (faults) (deno ? Deno : process).exit(1)
