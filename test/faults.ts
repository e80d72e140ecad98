/** GPUs whose devices can be lost, and worker threads that can fail. Both count live objects. */
import { gpu } from './gpu.ts'

/** Returns an object like `navigator.gpu` whose adapters open devices with `open`. */
function entryOf(
  open: (adapter: GPUAdapter, descriptor: GPUDeviceDescriptor) => Promise<GPUDevice>,
): GPU {
  return {
    requestAdapter: async (options: GPURequestAdapterOptions) => {
      const adapter = await gpu!.requestAdapter(options)
      return (
        adapter &&
        withMembers(adapter, {
          requestDevice: (descriptor: GPUDeviceDescriptor) => open(adapter, descriptor),
        })
      )
    },
  } as GPU
}

/**
 * Opens a device with the smallest workgroup memory that WebGPU allows. It needs only half of the
 * matrix kernels, which a software GPU takes seconds to compile.
 */
function openDevice(
  adapter: GPUAdapter,
  { requiredLimits, ...rest }: GPUDeviceDescriptor,
): Promise<GPUDevice> {
  const { maxComputeWorkgroupStorageSize: _, ...limits } = requiredLimits ?? {}
  return adapter.requestDevice({ ...rest, requiredLimits: limits })
}

/** Returns an object with some members replaced. */
export function withMembers<T extends object>(
  target: T,
  changes: Partial<Record<keyof T, unknown>>,
): T {
  return new Proxy(target, {
    get(_, property) {
      if (property in changes) return changes[property as keyof T]
      const value = Reflect.get(target, property, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Returns a GPU with real devices, and a list of all opened devices. */
export function realGpu(change: (device: GPUDevice) => void = () => {}): {
  gpu: GPU
  devices: GPUDevice[]
} {
  const devices: GPUDevice[] = []
  return {
    devices,
    gpu: entryOf(async (adapter, descriptor) => {
      const device = await openDevice(adapter, descriptor)
      change(device)
      devices.push(device)
      return device
    }),
  }
}

/**
 * Returns a GPU, and the number of streams of every batch that it ran.
 * @param limits lower limits
 */
export function watchedGpu(limits: Partial<GPUSupportedLimits> = {}): {
  gpu: GPU
  sizes: number[]
} {
  const sizes: number[] = []
  const { gpu } = realGpu((device) => {
    Object.defineProperty(device, 'limits', { value: withMembers(device.limits, limits) })
    const { queue } = device
    const write = queue.writeBuffer.bind(queue)
    queue.writeBuffer = (buffer, offset, data, ...part) => {
      if (buffer.label === 'videos') sizes.push((data as Uint32Array).length / 3)
      return write(buffer, offset, data as Uint32Array<ArrayBuffer>, ...part)
    }
  })
  return { gpu, sizes }
}

/** The real device that all devices of `fragileGpu` share, and its compiled kernels. */
let sharedDevice: Promise<GPUDevice> | undefined
const pipelines = new Map<string, Promise<GPUComputePipeline>>()
const modules = new Map<string, GPUShaderModule>()

/** A GPU whose devices can be lost. */
export interface FragileGpu {
  readonly gpu: GPU
  /** Loses the device that was opened last. */
  loseDevice(): void
  /** Makes the next requests for a device fail, this many times. */
  refuse(times: number): void
  /** Number of devices opened so far. */
  opened(): number
  /** Number of devices that are neither lost nor destroyed. */
  devices(): number
  /** Labels of the buffers that are not destroyed. */
  buffers(): string[]
}

/**
 * Returns a GPU whose devices can be lost many times in a test. A software GPU takes seconds to
 * compile the kernels for a new device, so all devices share one real device and its pipelines. A
 * lost device behaves as WebGPU specifies: submits have no effect, mapAsync rejects, and `lost`
 * resolves.
 * @param change called with every staging buffer
 */
export function fragileGpu(change: (staging: GPUBuffer) => void = () => {}): FragileGpu {
  let count = 0
  let loseCurrent = () => {}
  let refusals = 0
  let devices = 0
  const buffers = new Set<GPUBuffer>()
  return {
    loseDevice: () => loseCurrent(),
    refuse: (times) => void (refusals = times),
    opened: () => count,
    devices: () => devices,
    buffers: () => [...buffers].map(({ label }) => label),
    gpu: entryOf(async (adapter, descriptor) => {
      if (refusals-- > 0) throw new Error('refused by the test')
      const device = await (sharedDevice ??= openDevice(adapter, descriptor))
      count++
      devices++
      let isLost = false
      let resolveLost: (info: object) => void
      const lost = new Promise((resolve) => (resolveLost = resolve))
      const destroy = () => {
        if (!isLost) devices--
        isLost = true
        resolveLost({ reason: 'destroyed', message: 'destroyed by the test' })
      }
      loseCurrent = destroy
      return withMembers(device, {
        lost,
        destroy,
        queue: withMembers(device.queue, {
          submit: (buffers: GPUCommandBuffer[]) => isLost || device.queue.submit(buffers),
        }),
        createBuffer: (wanted: GPUBufferDescriptor) => {
          const buffer = device.createBuffer(wanted)
          buffers.add(buffer)
          const free = buffer.destroy.bind(buffer)
          buffer.destroy = () => {
            buffers.delete(buffer)
            return free()
          }
          if (wanted.label === 'staging') {
            change(buffer)
            const map = buffer.mapAsync.bind(buffer)
            buffer.mapAsync = async (...range) => {
              if (isLost) throw new Error('The device is lost')
              await map(...range)
              if (isLost) throw new Error('The device is lost')
              return undefined
            }
          }
          return buffer
        },
        createShaderModule: (wanted: GPUShaderModuleDescriptor) => {
          const module = modules.get(wanted.code) ?? device.createShaderModule(wanted)
          modules.set(wanted.code, module)
          return module
        },
        createComputePipelineAsync: (wanted: GPUComputePipelineDescriptor) => {
          const { module, entryPoint, constants } = wanted.compute
          const source = [...modules.values()].indexOf(module)
          const key = JSON.stringify([source, entryPoint, constants])
          if (!pipelines.has(key)) pipelines.set(key, device.createComputePipelineAsync(wanted))
          return pipelines.get(key)
        },
      })
    }),
  }
}

/** Ways in which a worker thread can fail. */
export const crashes = ['terminated', 'throws', 'silent'] as const

export type Crash = (typeof crashes)[number]

/** The worker threads that a test starts. */
export interface WatchedWorkers {
  /** Number of workers that have not ended. */
  alive(): number
  /** Number of workers started so far. */
  started(): number
  /** Makes a worker fail. */
  kill(crash: Crash, index?: number): void
  /** Whether every worker ends when it receives work. */
  crashInRun(all: boolean): void
  /** Stops watching: new workers are plain ones again. */
  restore(): void
}

/**
 * Counts the worker threads that are started from now on, and can make them fail. A test of silent
 * workers fakes `setInterval` before it starts them. It then advances the clock of the watchdog
 * that finds them (src/backend/wasm/thread.ts).
 */
export function watchedWorkers(): WatchedWorkers {
  const threads = process.getBuiltinModule('node:worker_threads')
  const { Worker } = threads
  const alive = new Set<InstanceType<typeof Worker>>()
  let started = 0
  let crashesInRun = false
  threads.Worker = class extends Worker {
    override postMessage(message: { method?: string }, ...rest: []): void {
      if (crashesInRun && message.method === 'run') void this.terminate()
      else super.postMessage(message, ...rest)
    }

    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args)
      started++
      alive.add(this)
      this.once('exit', () => alive.delete(this))
    }
  }
  return {
    alive: () => alive.size,
    started: () => started,
    kill: (crash, index = 0) => {
      const worker = [...alive][index]
      if (crash === 'terminated') void worker?.terminate()
      else if (crash === 'throws') worker?.postMessage({ method: 'no such method', args: [] })
      else if (worker) worker.postMessage = () => {}
    },
    crashInRun: (all) => void (crashesInRun = all),
    restore: () => void (threads.Worker = Worker),
  }
}
