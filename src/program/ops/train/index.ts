/** Operations of training. Inference imports only their types. */
export * from './norms.ts'
export * from './sums.ts'
export * from './time.ts'
