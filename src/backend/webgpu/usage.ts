/**
 * Constants of the WebGPU specification. Browsers and Deno have them as global objects
 * (GPUBufferUsage ..). In Node WebGPU is a package, and these globals need not exist.
 */
export const STORAGE = 0x80
export const UNIFORM = 0x40
export const COPY_SRC = 0x04
export const COPY_DST = 0x08
export const MAP_READ = 0x01
export const QUERY_RESOLVE = 0x200
/** Of textures. */
export const TEXTURE_COPY_DST = 0x02
export const TEXTURE_BINDING = 0x04
export const RENDER_ATTACHMENT = 0x10
/** GPUShaderStage.COMPUTE */
export const COMPUTE = 0x04
/** GPUMapMode.READ */
export const READ = 0x01
