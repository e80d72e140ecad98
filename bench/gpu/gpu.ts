import { create } from 'webgpu'
import { NEEDED } from '../../src/backend/webgpu/matrix.ts'
import { median } from '../../src/bench/lib/stats.ts'
import { noise } from '../../src/bench/lib/weights.ts'
import { deviceDescriptor, OPTIONAL, wgslOf } from '../../src/platform/gpu.ts'

const [UNIFORM, STORAGE, COPY_SRC, COPY_DST, MAP_READ, QUERY_RESOLVE] = [
  0x40, 0x80, 0x04, 0x08, 0x01, 0x200,
]

// Objects of Dawn must not be used after its entry point and adapter were garbage-collected.
const kept: unknown[] = []

/** The first GPU of this machine, without Dawn's checks, and a clock for its passes. */
export class Gpu {
  readonly device: GPUDevice
  readonly adapter: GPUAdapter
  /** Language features of WGSL that kernels use. */
  readonly wgsl: readonly string[]
  readonly facts: Readonly<Record<string, string>>
  readonly #queries: GPUQuerySet
  readonly #resolved: GPUBuffer
  readonly #staging: GPUBuffer

  private constructor(
    device: GPUDevice,
    adapter: GPUAdapter,
    wgsl: readonly string[],
    facts: Record<string, string>,
  ) {
    this.device = device
    this.adapter = adapter
    this.wgsl = wgsl
    this.facts = facts
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 })
    this.#resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC })
    this.#staging = device.createBuffer({ size: 1 << 26, usage: MAP_READ | COPY_DST })
  }

  /**
   * @param toggles toggles of Dawn, separated by commas
   * @param matrices whether matrix units are used, which need further toggles and features
   */
  static async open(toggles: string, matrices = false): Promise<Gpu> {
    const also = matrices ? NEEDED : { toggles: [], features: [] }
    const entry = create([
      `enable-dawn-features=${[toggles, ...also.toggles].join(',')}`,
      'disable-dawn-features=timestamp_quantization',
    ])
    const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' })
    if (!adapter) throw new Error('There is no adapter: set VK_DRIVER_FILES to the driver')
    const features = also.features.filter((feature) => adapter.features.has(feature))
    const device = await adapter.requestDevice(deviceDescriptor(adapter, features))
    // Work that the GPU refuses takes no time.
    device.addEventListener('uncapturederror', ({ error }) => {
      throw new Error(`The GPU refused: ${error.message}`)
    })
    const facts = {
      date: new Date().toISOString(),
      adapter: adapter.info.description,
      vendor: adapter.info.vendor,
      node: process.version,
      toggles,
      features: OPTIONAL.filter((feature) => adapter.features.has(feature)).join(' '),
    }
    kept.push(entry, adapter)
    return new Gpu(device, adapter, wgslOf(entry as GPU), facts)
  }

  /** Creates a storage buffer, filled with noise of this spread if it is not 0. */
  buffer(bytes: number, spread = 0): GPUBuffer {
    const buffer = this.device.createBuffer({
      size: Math.ceil(bytes / 16) * 16 + 16,
      usage: STORAGE | COPY_SRC | COPY_DST,
    })
    if (!spread) return buffer
    const next = noise(bytes)
    const part = Float32Array.from(
      { length: Math.min(Math.ceil(bytes / 4), 1 << 20) },
      () => spread * next(),
    )
    for (let at = 0; at < bytes; at += part.byteLength)
      this.device.queue.writeBuffer(
        buffer,
        at,
        part,
        0,
        Math.min(part.length, Math.ceil((bytes - at) / 4)),
      )
    return buffer
  }

  /** Creates a uniform buffer with the parameters of a kernel. */
  uniform(words: readonly number[]): GPUBuffer {
    const buffer = this.device.createBuffer({ size: 256, usage: UNIFORM | COPY_DST })
    this.device.queue.writeBuffer(buffer, 0, Uint32Array.from(words))
    return buffer
  }

  layout(types: readonly GPUBufferBindingType[]): GPUBindGroupLayout {
    return this.device.createBindGroupLayout({
      entries: types.map((type, binding) => ({ binding, visibility: 4, buffer: { type } })),
    })
  }

  async read(buffer: GPUBuffer, floats: number): Promise<Float32Array> {
    const encoder = this.device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, this.#staging, 0, 4 * floats)
    return new Float32Array(await this.#mapped(encoder, 4 * floats))
  }

  /** Returns the milliseconds of one pass by the GPU's clock. */
  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const encoder = this.device.createCommandEncoder()
    const pass = encoder.beginComputePass({
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 0,
        endOfPassWriteIndex: 1,
      },
    })
    encode(pass)
    pass.end()
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0)
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16)
    const [begin, end] = new BigUint64Array(await this.#mapped(encoder, 16)) as unknown as [
      bigint,
      bigint,
    ]
    return Number(end - begin) / 1e6
  }

  /**
   * Returns the median milliseconds of each pass; passes alternate. An idle GPU runs at a fraction
   * of its clock (an H200 at 345 MHz instead of 1980), also while kernels are compiled. So it is
   * kept busy for `warm` milliseconds before.
   */
  async inTurn(
    passes: readonly ((pass: GPUComputePassEncoder) => void)[],
    rounds: number,
    warm: number,
  ): Promise<number[]> {
    for (const start = performance.now(); performance.now() - start < warm; )
      await this.time(passes[0]!)
    const times = passes.map((): number[] => [])
    for (let round = 0; round < rounds; round++)
      for (const [index, pass] of passes.entries()) times[index]!.push(await this.time(pass))
    return times.map(median)
  }

  async #mapped(encoder: GPUCommandEncoder, bytes: number): Promise<ArrayBuffer> {
    this.device.queue.submit([encoder.finish()])
    await this.#staging.mapAsync(MAP_READ, 0, bytes)
    const values = this.#staging.getMappedRange(0, bytes).slice(0)
    this.#staging.unmap()
    return values
  }
}
