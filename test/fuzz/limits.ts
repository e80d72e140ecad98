/** Largest size of a mutated file in bytes. The bounds of time and memory apply up to this size. */
export const MAX_FILE = 1 << 20
