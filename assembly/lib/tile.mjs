/**
 * Generates the micro-kernel of every matrix product, in AssemblyScript. `npm run build` writes it
 * to build/tile.ts, which gemm.ts imports.
 *
 *     c[i, j] = from[i, j] + Σ_k x[i, k]·w[k, j]
 *
 * Shapes: c and from [rows, 8], x [rows, k], w [k, 8], with 1 to 6 rows. A wide tile has 16 columns
 * instead of 8. The rows of c, from and x have strides. w is a panel: k rows of 32 bytes, one after
 * the other. A wide tile takes two panels.
 *
 * Tiling: all sums of a tile stay in registers. For each k, a tile loads one vector of w for every
 * four columns. It then broadcasts one value of x for every row, and does one multiply-add for
 * every sum. A taller tile needs fewer loads for each multiply-add, until the 16 vector registers
 * of x86 are full:
 *
 *     build           tile     sums   w   x   product
 *     simd            5 × 8      10   2   1         1    6 × 8 spills
 *     relaxed         6 × 8      12   2   1              fused: the product needs no register
 *     wide            5 × 16     10   2   1         1    registers of 256 bits
 *     wide-relaxed    6 × 16     12   2   1              registers of 256 bits
 *
 * In the wide builds V8 merges two neighbouring operations of 128 bits into one of 256 bits. It
 * merges two stores only if the upper half comes first.
 *
 * Unrolled: rows and vectors, because WebAssembly cannot index registers. A turn of the loop over k
 * has eight steps if the runtime keeps their order (UNROLLS), else one step.
 *
 * Order: a runtime that moves multiply-adds of several steps together needs the w of all of them at
 * once. It then spills, and is 25 to 50 % slower. Binaryen does this when it simplifies locals, so
 * asconfig.json lists passes without that one.
 *
 * Every sum starts at `from` and adds in the order of k. Results therefore do not depend on the
 * tile, and the wide builds give exactly the results of the others.
 */

/** Rows of the tallest tile. */
const ROWS = 6
/** Steps of k in one turn of the unrolled loop. */
const STEPS = 8
/** Bytes of a row of a panel. */
const PANEL_BYTES = 32

const each = (count, code) => Array.from({ length: count }, (_, i) => code(i)).join('\n')

/** Code for each row of the tile. `rows` is a constant where tileOf is inlined. */
const eachRow = (code) => each(ROWS, (r) => (r ? `if (rows > ${r}) {\n${code(r)}\n}` : code(r)))

/** Code for each vector of four columns: two in one panel, and two more if the tile is wide. */
const eachVector = (code) => `${each(2, code)}\nif (wide) {\n${each(2, (v) => code(v + 2))}\n}`

/** Code for one k: sum[r, v] += x[r, k]·w[k, v]. The pointers are at k = 0. */
const step = (k) => `
  ${eachVector((v) => `w${v} = v128.load(panel${v >> 1}, ${k * PANEL_BYTES + (v % 2) * 16})`)}
  ${eachRow(
    (r) => `
    value = v128.load_splat<f32>(x${r}, ${k * 4})
    ${eachVector((v) => `sum${r}${v} = multiplyAdd(kind, value, w${v}, sum${r}${v}, ones)`)}`,
  )}`

/** Code that moves the pointers forward by a number of steps of k. */
const advance = (steps) => `
  panel0 += ${steps * PANEL_BYTES}
  if (wide) panel1 += ${steps * PANEL_BYTES}
  ${eachRow((r) => `x${r} += ${steps * 4}`)}`

export const tile = `// Written by assembly/lib/tile.mjs.
import { multiplyAdd, ONES, UNROLLS, WIDE } from '../assembly/lib/target'

// @ts-ignore: decorator
@inline
export function tileOf(
  kind: i32, wide: bool, rows: i32, c: usize, ldc: usize, x: usize, ldx: usize,
  panel0: usize, panel1: usize, k: i32, from: usize, ldf: usize, ahead: usize,
): void {
  let sum00 = v128.load(from), sum01 = v128.load(from, 16), sum02 = sum00, sum03 = sum01
  if (wide) {
    sum02 = v128.load(from, 32)
    sum03 = v128.load(from, 48)
  }
  ${each(ROWS, (r) => (r ? each(4, (v) => `let sum${r}${v} = sum0${v}`) : ''))}
  ${eachRow((r) =>
    r ? `from += ldf\n${eachVector((v) => `sum${r}${v} = v128.load(from, ${v * 16})`)}` : '',
  )}
  ${each(ROWS, (r) => `let x${r} = ${r ? `x${r - 1} + ldx` : 'x'}`)}
  ${each(4, (v) => `let w${v} = sum00`)}
  let value = sum00
  const ones = v128.load(ONES)
  let left = k
  if (WIDE || UNROLLS) {
    left &= ${STEPS - 1}
    const end = panel0 + (((<usize>k) >> ${Math.log2(STEPS)}) << ${Math.log2(STEPS * PANEL_BYTES)})
    while (panel0 < end) {
      ${each(STEPS, step)}
      load<u64>(ahead)
      ahead += 16
      ${advance(STEPS)}
    }
  }
  for (; left > 0; left--) {
    ${step(0)}
    ${advance(1)}
  }
  ${eachRow(
    (r) => `
    ${r ? 'c += ldc' : ''}
    ${eachVector((v) => `v128.store(c, sum${r}${v ^ 1}, ${(v ^ 1) * 16})`)}`,
  )}
}
`
