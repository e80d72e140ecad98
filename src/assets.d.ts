/**
 * WebAssembly files are inlined as bytes by the bundler (build.mjs) and by the tests
 * (vitest.config.ts).
 */
declare module '*.wasm' {
  const bytes: Uint8Array
  export default bytes
}

declare module '*.safetensors' {
  const bytes: Uint8Array
  export default bytes
}

/** Text files are inlined as strings. */
declare module '*.txt' {
  const text: string
  export default text
}

declare module '*.wgsl' {
  const text: string
  export default text
}
