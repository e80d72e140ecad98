/**
 * Worst errors of the golden models on WebGPU outside of vitest, on whatever adapter the runtime finds (VK_DRIVER_FILES chooses a driver).
 *
 *     node test/platforms/parity.mjs          also bundles build/parity.js
 *     deno run -A test/platforms/parity.mjs   afterwards
 */
import { readFile } from 'node:fs/promises'

const deno = 'Deno' in globalThis
if (!deno) {
  const { build } = await import('esbuild')
  await build({
    entryPoints: [new URL('parity.ts', import.meta.url).pathname], outfile: new URL('../../build/parity.js', import.meta.url).pathname,
    bundle: true, format: 'esm', target: 'es2022', platform: 'neutral', external: ['node:*'], loader: { '.wgsl': 'text' },
  })
}
const { parity } = await import('../../build/parity.js')
const gpu = deno ? navigator.gpu : (await import('webgpu')).create([])
const adapter = await gpu.requestAdapter()
if (!adapter) throw new Error('No WebGPU adapter: set VK_DRIVER_FILES to a Vulkan driver, such as that of SwiftShader')
const device = await adapter.requestDevice()
device.addEventListener('uncapturederror', ({ error }) => {
  throw error
})
console.log(`${deno ? `Deno ${Deno.version.deno}` : `Node ${process.version}`}, ${adapter.info.description || adapter.info.vendor}`)
const results = await parity(device, async (file) => new Uint8Array(await readFile(new URL(`../goldens/${file}`, import.meta.url))))
for (const { model, frames, chunks, first, next } of results) {
  console.log(`${model.padEnd(10)} frame by frame ${frames.toFixed(4)}, in chunks ${chunks.toFixed(4)} of the bound; ${first.toFixed(0)} ms to the first answer, then ${next.toFixed(1)} ms`)
}
device.destroy()
if (!results.every(({ frames, chunks }) => frames <= 1 && chunks <= 1)) (deno ? Deno : process).exit(1)
