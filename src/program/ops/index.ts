/** Every operation under its name. Files hold related ones; a new operation needs no line here. */
export * from './attention.ts'
export * from './norms.ts'
export * from './products.ts'
export * from './time.ts'
export * from './tokens.ts'
