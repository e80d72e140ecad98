/** Bytes of a mutated file at most: the bounds of time and memory are for files of this size. */
export const MAX_FILE = 1 << 20
