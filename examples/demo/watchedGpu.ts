/**
 * The browser's WebGPU entry point. It remembers its latest device, which the page can destroy to
 * show recovery.
 */

let latest: GPUDevice | undefined

/** The entry point, or undefined without WebGPU. */
export const watchedGpu: GPU | undefined =
  'gpu' in navigator && navigator.gpu ? watched(navigator.gpu) : undefined

/** Destroys the latest device. */
export function destroyDevice(): void {
  latest?.destroy()
}

function watched(entry: GPU): GPU {
  const bound = <T extends object>(of: T, key: PropertyKey): unknown => {
    const value = Reflect.get(of, key, of) as unknown
    return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(of) : value
  }
  const adapterOf = (adapter: GPUAdapter): GPUAdapter =>
    new Proxy(adapter, {
      get: (of, key) =>
        key === 'requestDevice'
          ? async (descriptor?: GPUDeviceDescriptor) =>
              (latest = await of.requestDevice(descriptor))
          : bound(of, key),
    })
  return new Proxy(entry, {
    get: (of, key) =>
      key !== 'requestAdapter'
        ? bound(of, key)
        : async (options?: GPURequestAdapterOptions) => {
            const adapter = await of.requestAdapter(options)
            return adapter && adapterOf(adapter)
          },
  })
}
