/** Operations of training. Inference imports only their types. */
export * from './attention.ts'
export * from './linear.ts'
export * from './norms.ts'
export * from './products.ts'
export * from './sums.ts'
export * from './time.ts'
export * from './tokens.ts'
export * from './weights.ts'
