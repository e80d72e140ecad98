/** Operations of training. Inference imports only their types. */
export * from './sums.ts'
