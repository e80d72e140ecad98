/** What the bundle of `src/weights` takes from that of the core, instead of a copy (build.mjs). */
export * from './base/error.ts'
export * from './platform/platform.ts'
