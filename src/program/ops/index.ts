/** The operations of inference. A new operation in one of these files needs no change here. */
export * from './attention.ts'
export * from './norms.ts'
export * from './products.ts'
export * from './time.ts'
export * from './tokens.ts'
