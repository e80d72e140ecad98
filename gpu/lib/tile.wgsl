// The tile of a matrix product: 40 rows × 32 columns of
//
//     sum[i, q·n + j] = Σ_k' x[i, q·k + k']·kernel[q, k', j]
//
// for one block of columns q. This is a template: scripts/template.ts repeats the lines of its
// loops, scripts/shaders.ts gives its arguments.
//
//     $sizes     the uniform with rows, k, n, frameRows and the view of x
//     $x         the buffer of x: array<Quad>
//     $kernel    the buffer of the kernel: array<Four>
//     $times     a number of x times four columns of the kernel
//     $turns     number of turns of the inner loop, for QUADS quads
//     $turn      the quad of turn i
//     $part      the part of four numbers that turn i multiplies
//     $begin     code that begins a tile: (its first row, the invocation)
//     $columns   code that loads what $given needs for a quad of k: (k of the stage, quad)
//     $given     a quad of x as it is multiplied: (quad of x, its row in the tile)
//     $epilogue  the function (block: u32, row: u32, column: u32, sum: Quad), called with four
//                finished sums; then `finished` (row: u32, column: u32, local: u32) is called once
//
// Calls lib/kernel.wgsl, which has the types Four and Quad, lib/blocks.wgsl and lib/frames.wgsl.
//
// Shapes: x [rows, blocks·k] with a stride; kernel [blocks, k, ⌈n/4⌉] of four numbers each, zero
// where there is no column. Each vec4 of sums is passed to the epilogue once.
//
// Number formats: with float32 and float16 kernels, numbers of x and sums are float32. With int8 a
// number of x is four packed integers, k counts these, and sums are int32 (lib/kernel.int8.wgsl).
//
// Tiling: a frame has few rows. 197 rows are 5 tiles of 40, with 3 rows to spare. If each
// invocation read all k, most of a large GPU would be idle. So k is split between slices of 16
// invocations, and the sums of the slices are added in the end. A slice is 4 invocations down and 4
// across. An invocation computes 10 × 8 sums: for 4 k it loads 10 + 8 vec4 from workgroup memory
// and does 320 multiplications.
//
// Stages: a stage of k is copied to workgroup memory, then multiplied. Meanwhile the next stage is
// loaded into named values. Nothing may branch on these values or change them before they are
// stored: then compilers keep the loads above the multiplications.
//
// Bank conflicts: NVIDIA's workgroup memory serves loads of vec4 in half the passes if invocations
// that differ in bit 0 of their index read the same address, or those that differ in bit 1. So
// invocations of a slice are interleaved: bit 0 is a step across (same x), bit 1 a step down (same
// kernel). bench/results has the gain on an H200: 2 to 7 %.

/** Whether x can be loaded as vec4: its rows begin at multiples of 4 elements, and so does k. */
override ALIGNED: bool = true;
/** Whether k is a multiple of a stage. If so, nothing beyond k is loaded. */
override WHOLE: bool = true;
/**
 * Invocations of a workgroup: 64 have stages of 32 k and use 10 KiB of workgroup memory, 128 have
 * stages of 64 k and use 19 KiB. 128 fill a GPU with fewer tiles.
 */
override INVOCATIONS: u32 = 64;

/** Invocations of a slice. */
const SLICE = 16u;
/** Quads (vec4 of k) of a stage that one slice multiplies. */
const QUADS = 2u;
override SLICES: u32 = INVOCATIONS / SLICE;
/** vec4 of k in a stage. */
override STAGE: u32 = QUADS * SLICES;
/** Rows of x that all invocations load together; a stage has five times as many. */
const STEP = 8u;
/** Rows of the kernel that all invocations load together; a stage has four times as many. */
override KERNEL_STEP: u32 = INVOCATIONS / 8;
/**
 * Distance from one quad of x to the next, in vec4: 40 rows, and one more so that stores use all
 * banks.
 */
const X_STRIDE = 41u;
/** Size of a slice's part of the kernel, in vec4: [8 k, 8 vec4 of columns]. */
const PART = 64u;
override KERNEL_BEGIN: u32 = STAGE * X_STRIDE;
override STAGED: u32 = KERNEL_BEGIN + SLICES * PART;

/** A stage of x, [STAGE quads, 40 rows], then of the kernel. In the end, the sums of slices. */
var<workgroup> staged: array<Quad, STAGED>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let block = group.z;
  let row = group.y * 40u;
  let column = group.x * 8u;
  let columns = ($sizes.n + 3u) / 4u;
  // This invocation loads one quad of k from 5 rows of x, and one vec4 of columns for 4 k.
  let quad = local % STAGE;
  let line = local / STAGE;
  $for 5 {
    let from$i = xFrom(block, row + line + $i * STEP, quad);
  $}
  let xTo = quad * X_STRIDE + line;
  let kernelK = local / 8u;
  let kernelFrom = block * $sizes.k * columns + min(column + local % 8u, columns - 1u);
  // It computes the rows down, down + 4, .. of the vec4 of columns across and across + 4.
  let slice = local / SLICE;
  let xBegin = slice * QUADS * X_STRIDE + downOf(local);
  let kernelBegin = KERNEL_BEGIN + slice * PART + acrossOf(local);

  $for 10 {
    var a$i = Quad();
    var b$i = Quad();
  $}
  // The first stage.
  {
    let inside = WHOLE || 4u * quad < $sizes.k;
    $for 5 {
      let x$i = xNext(from$i, 0u, quad);
    $}
    $for 4 {
      let kernel$i = $kernel[kernelFrom + kernelRow(kernelK + $i * KERNEL_STEP) * columns];
    $}
    $columns(0u, quad)
    $begin(row, local)
    $for 5 {
      staged[xTo + $i * STEP] = select(Quad(), $given(x$i, line + $i * STEP), inside);
    $}
    $for 4 {
      staged[KERNEL_BEGIN + local + $i * INVOCATIONS] = numbers(kernel$i);
    $}
  }
  for (var k = 4u * STAGE; ; k += 4u * STAGE) {
    // After the last stage, the first one is loaded again and not used.
    let next = select(0u, k, k < $sizes.k);
    let inside = WHOLE || next + 4u * quad < $sizes.k;
    let kOfX = select(0u, next, inside);
    $for 5 {
      let x$i = xNext(from$i, kOfX, quad);
    $}
    $for 4 {
      let kernel$i = $kernel[kernelFrom + kernelRow(next + kernelK + $i * KERNEL_STEP) * columns];
    $}
    $columns(kOfX, quad)
    workgroupBarrier();
    for (var i = 0u; i < $turns; i++) {
      let w = kernelBegin + $turn * 32u;
      let x = xBegin + $turn * X_STRIDE;
      $for 4 {
        let wa$i = $part(staged[w + $i * 8u]);
        let wb$i = $part(staged[w + $i * 8u + 4u]);
      $}
      var v: Quad;
      $for 10 {
        v = $part(staged[x + $i * 4u]);
        a$i = a$i + $times(v.x, wa0) + $times(v.y, wa1) + $times(v.z, wa2) + $times(v.w, wa3);
        b$i = b$i + $times(v.x, wb0) + $times(v.y, wb1) + $times(v.z, wb2) + $times(v.w, wb3);
      $}
    }
    workgroupBarrier();
    $for 5 {
      staged[xTo + $i * STEP] = select(Quad(), $given(x$i, line + $i * STEP), inside);
    $}
    $for 4 {
      staged[KERNEL_BEGIN + local + $i * INVOCATIONS] = numbers(kernel$i);
    $}
    if (k >= $sizes.k) {
      break;
    }
  }

  meet(block, row, column, 0u, 8u, local, a0, b0, a1, b1, a2, b2, a3, b3);
  meet(block, row, column, 4u, 8u, local, a4, b4, a5, b5, a6, b6, a7, b7);
  meet(block, row, column, 8u, 4u, local, a8, b8, a9, b9, Quad(), Quad(), Quad(), Quad());
  finished(row, column, local);
}

/** Where a row of x begins in a block of columns. Rows beyond the last one repeat it. */
fn xRow(block: u32, row: u32) -> u32 {
  let last = min(row, $sizes.rows - 1u);
  return $sizes.xOffset + rowOffset(last, $sizes.frameRows, $sizes.xFrame, $sizes.xStride)
    + blockBegin(block);
}

/**
 * The index at which an invocation begins to load a row. If ALIGNED the unit is a vec4, which saves
 * a shift in each load.
 */
fn xFrom(block: u32, row: u32, quad: u32) -> u32 {
  let at = xRow(block, row) + 4u * quad;
  return select(at, at >> 2u, ALIGNED);
}

/** A quad of x, k elements after `begin`. */
fn xNext(begin: u32, k: u32, quad: u32) -> Quad {
  if (ALIGNED) {
    return $x[begin + (k >> 2u)];
  }
  return xAt(begin + k, k + 4u * quad);
}

/** Four elements of x; zeros beyond the last k of the block. */
fn xAt(at: u32, k: u32) -> Quad {
  if (ALIGNED) {
    return $x[at >> 2u];
  }
  let v = Quad(
    $x[at >> 2u][at & 3u],
    $x[(at + 1u) >> 2u][(at + 1u) & 3u],
    $x[(at + 2u) >> 2u][(at + 2u) & 3u],
    $x[(at + 3u) >> 2u][(at + 3u) & 3u],
  );
  return select(Quad(), v, k + vec4u(0u, 1u, 2u, 3u) < vec4u($sizes.k));
}

/** The first row that an invocation computes: 0 to 3. */
fn downOf(local: u32) -> u32 {
  return local / 2u % 2u + local / 8u % 2u * 2u;
}

/** The first vec4 of columns that an invocation computes: 0 to 3. */
fn acrossOf(local: u32) -> u32 {
  return local % 2u + local / 4u % 2u * 2u;
}

/** A row of the kernel. Rows beyond the last one repeat it. */
fn kernelRow(k: u32) -> u32 {
  if (WHOLE) {
    return k;
  }
  return min(k, $sizes.k - 1u);
}

/**
 * Adds the sums of all slices for up to four rows of each invocation, and passes them to the
 * epilogue. Row number `first` + i of an invocation has the sums ai and bi. With four rows at a
 * time every invocation has something to add, and few barriers are needed.
 * @param parts sums to add for each invocation of a slice: two for each row
 */
fn meet(
  block: u32, row: u32, column: u32, first: u32, parts: u32, local: u32,
  a0: Quad, b0: Quad, a1: Quad, b1: Quad, a2: Quad, b2: Quad, a3: Quad, b3: Quad,
) {
  workgroupBarrier();
  $for 4 {
    staged[local + 2 * $i * INVOCATIONS] = a$i;
    staged[local + (2 * $i + 1) * INVOCATIONS] = b$i;
  $}
  workgroupBarrier();
  let within = local % SLICE;
  for (var part = local / SLICE; part < parts; part += SLICES) {
    var sum = Quad();
    for (var slice = 0u; slice < SLICES; slice++) {
      sum += staged[part * INVOCATIONS + slice * SLICE + within];
    }
    let to = row + downOf(within) + (first + part / 2u) * 4u;
    $epilogue(block, to, (column + acrossOf(within) + part % 2u * 4u) * 4u, sum);
  }
}
