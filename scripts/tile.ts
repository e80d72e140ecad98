/** Names in the WGSL of an operation that its tile uses. */
export interface TileArguments {
  /** The uniform with the sizes of the product: rows, k, n, xOffset and xStride. */
  readonly sizes: string
  /** The buffer of x: array<vec4f>. */
  readonly x: string
  /** The buffer of the kernel: array<Four> (gpu/lib/kernel.wgsl). */
  readonly kernel: string
  /** The function (block: u32, row: u32, column: u32, sum: vec4f) that ends four sums. */
  readonly epilogue: string
}

/**
 * Expands the text of gpu/lib/tile.wgsl, which defines `fn tile(group: vec3u, local: u32)`. `$for N
 * { .. $}` is its inside N times, with 0 to N - 1 for `$i`; every other `$name` is an argument.
 */
export function tile(template: string, names: TileArguments): string {
  return template
    .replace(/\$for (\d+) ?{(.*?)\$}/gs, (_, count: string, body: string) =>
      Array.from({ length: +count }, (_, i) => body.replaceAll('$i', `${i}`)).join(''),
    )
    .replace(/\$(\w+)/g, (_, name: keyof TileArguments) => names[name])
}
