/**
 * Names of other libraries in the public types. They are empty here, and those of lib.dom, of
 * @webgpu/types and of esnext.disposable fill them where a program has these.
 */
export {}

declare global {
  interface GPU {}
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
