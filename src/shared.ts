/** Modules that the bundle of `src/weights` shares with the core, instead of a copy (build.mjs). */
export * from './base/error.ts'
export * from './platform/platform.ts'
