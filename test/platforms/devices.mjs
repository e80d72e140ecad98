/**
 * The built package on the CPU and on the GPU of this runtime: the built-in model must give the
 * same answers within the bound, and a stream must move from one to the other and back.
 *
 *     VK_DRIVER_FILES=... node test/platforms/devices.mjs
 *     VK_DRIVER_FILES=... deno run -A test/platforms/devices.mjs
 */
import { TRecViT } from '../../dist/index.js'

const BOUND = 1e-4
const FRAMES = 24

/** Noise that drifts to the left, so that the recurrence has something to see. */
const texture = Uint8Array.from({ length: 96 * 256 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24)
const frameAt = (t) => ({
  shape: [96, 96, 3],
  data: Uint8Array.from(
    { length: 96 * 96 * 3 },
    (_, i) => texture[Math.floor(i / 288) * 256 + ((Math.floor((i % 288) / 3) + 2 * t) % 256)],
  ),
})

async function answers(stream, from = 0, to = FRAMES) {
  const logits = []
  for (let t = from; t < to; t++) logits.push(...(await stream.push(frameAt(t))).logits.data)
  return logits
}

const cpu = await TRecViT.load('builtin', { device: 'wasm' })
const gpu = await TRecViT.load('builtin', { device: 'webgpu' })
const want = await answers(cpu.stream({ average: 'all' }))
const largest = Math.max(...want.map(Math.abs))
const check = (what, got) => {
  const error = Math.max(...got.map((value, i) => Math.abs(value - want[i]))) / largest
  console.log(
    `${what}: ${gpu.device.kernels}, largest error ${error.toExponential(1)} of the largest logit`,
  )
  if (!(error <= BOUND))
    throw new Error(`${what} expected an error of at most ${BOUND}, got ${error}`)
}

check('on the GPU', await answers(gpu.stream({ average: 'all' })))
const moving = gpu.stream({ average: 'all' })
const parts = await answers(moving, 0, 8)
await moving.moveTo('wasm')
parts.push(...(await answers(moving, 8, 16)))
await moving.moveTo('webgpu')
parts.push(...(await answers(moving, 16)))
check('moved to the CPU and back', parts)
await moving.dispose()
await gpu.dispose()
await cpu.dispose()
