/**
 * Declares the names of other libraries in the public types. They are empty here. If a program
 * includes lib.dom, @webgpu/types or esnext.disposable, those declare their members.
 */
export {}

declare global {
  interface GPU {}
  interface GPUAdapter {}
  interface GPUBuffer {}
  interface GPUDevice {}
  interface MediaTrackConstraints {}
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
  namespace WebAssembly {
    interface Memory {}
    interface Module {}
  }
}
