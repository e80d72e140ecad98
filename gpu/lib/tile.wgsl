// A workgroup's tile, 40 rows × 32 columns, of Σ_k' x[i, q·k + k']·kernel[q, k', j], for the block
// of columns q: what linear and blockLinear share.
//
// x [rows, blocks·k] with a stride; kernel [blocks, k, ⌈n/4⌉] times four numbers (lib/kernel.wgsl),
// zero where there is no column. Sums are float32 in either case. They end in finish(block, row,
// column, sum) of the operation, which also declares `p`, `x` and `kernel`.
//
// Why so: a frame has few rows (197 are 5 tiles of 40, with 3 to spare), so most of a large GPU
// would idle if one invocation saw all k. The k are dealt to slices of 16 invocations, 4 down and 4
// across, and the slices' sums meet in the end. An invocation computes 10 × 8 numbers, so that 4 k
// cost it 10 + 8 loads of vec4 from workgroup memory for 320 multiplications.
//
// While one stage of k is multiplied, the next is on its way from memory. What is fetched is put as
// it is into named values, without a branch, and looked at only when it is stored: the loop over
// quads keeps compilers from moving the fetches below it.
//
// Invocations of a slice lie interleaved: one and the next read the same x, one and the next but
// one the same kernel. NVIDIA's workgroup memory serves loads of vec4 in half the passes if all
// invocations share their address with the one whose number differs in bit 0, or all with that of
// bit 1. On an H200 products of Base take 0.93 to 0.98 of their time for it, and 0.93 to 0.96 for
// the loop without a storageBarrier that held the fetches before (bench/results).

/**
 * Rows of x begin at multiples of 4 elements, and k is such a multiple: one load fetches 4
 * elements.
 */
override ALIGNED: bool = true;
/** Stages end where k does: nothing beyond it is fetched. */
override WHOLE: bool = true;
/**
 * Invocations, 64 or 128: stages of 32 k in 10 KiB of workgroup memory, or of 64 k in 19 KiB. The
 * more, the fewer tiles fill a GPU.
 */
override INVOCATIONS: u32 = 64;

/** Invocations of a slice. */
const SLICE = 16u;
/** vec4 of k that a slice takes of a stage. */
const QUADS = 2u;
override SLICES: u32 = INVOCATIONS / SLICE;
/** vec4 of k in a stage. */
override STAGE: u32 = QUADS * SLICES;
/**
 * Rows of x and k of the kernel that all invocations together fetch at a time: 5 times the one, 4
 * times the other make a stage.
 */
const STEP = 8u;
override KERNEL_STEP: u32 = INVOCATIONS / 8;
/**
 * vec4 from one quad of x to the next: an odd number, so that invocations store quads to different
 * banks.
 */
const X_STRIDE = 41u;
/** vec4 of a slice's part of the kernel, [8 k, 8 vec4 of columns]. */
const PART = 64u;
override KERNEL_BEGIN: u32 = STAGE * X_STRIDE;
override STAGED: u32 = KERNEL_BEGIN + SLICES * PART;

/** A stage of x, [STAGE quads, 40 rows], then of the kernel; in the end the sums of slices. */
var<workgroup> staged: array<vec4f, STAGED>;

fn tile(group: vec3u, local: u32) {
  let block = group.z;
  let row = group.y * 40u;
  let column = group.x * 8u;
  let columns = (p.n + 3u) / 4u;
  // What this invocation fetches: one quad of 5 rows, and 4 k of one vec4 of columns.
  let quad = local % STAGE;
  let from0 = xFrom(block, row + local / STAGE, quad);
  let from1 = xFrom(block, row + local / STAGE + STEP, quad);
  let from2 = xFrom(block, row + local / STAGE + 2u * STEP, quad);
  let from3 = xFrom(block, row + local / STAGE + 3u * STEP, quad);
  let from4 = xFrom(block, row + local / STAGE + 4u * STEP, quad);
  let xTo = quad * X_STRIDE + local / STAGE;
  let kernelK = local / 8u;
  let kernelFrom = block * p.k * columns + min(column + local % 8u, columns - 1u);
  // What it computes: rows down, down + 4, .. of the columns across and across + 4.
  let slice = local / SLICE;
  let xBegin = slice * QUADS * X_STRIDE + downOf(local);
  let kernelBegin = KERNEL_BEGIN + slice * PART + acrossOf(local);

  var a0 = vec4f();
  var b0 = vec4f();
  var a1 = vec4f();
  var b1 = vec4f();
  var a2 = vec4f();
  var b2 = vec4f();
  var a3 = vec4f();
  var b3 = vec4f();
  var a4 = vec4f();
  var b4 = vec4f();
  var a5 = vec4f();
  var b5 = vec4f();
  var a6 = vec4f();
  var b6 = vec4f();
  var a7 = vec4f();
  var b7 = vec4f();
  var a8 = vec4f();
  var b8 = vec4f();
  var a9 = vec4f();
  var b9 = vec4f();
  // The first stage.
  {
    let inside = WHOLE || 4u * quad < p.k;
    let x0 = xNext(from0, 0u, quad);
    let x1 = xNext(from1, 0u, quad);
    let x2 = xNext(from2, 0u, quad);
    let x3 = xNext(from3, 0u, quad);
    let x4 = xNext(from4, 0u, quad);
    let kernel0 = kernel[kernelFrom + kernelRow(kernelK) * columns];
    let kernel1 = kernel[kernelFrom + kernelRow(kernelK + KERNEL_STEP) * columns];
    let kernel2 = kernel[kernelFrom + kernelRow(kernelK + 2u * KERNEL_STEP) * columns];
    let kernel3 = kernel[kernelFrom + kernelRow(kernelK + 3u * KERNEL_STEP) * columns];
    staged[xTo] = select(vec4f(), x0, inside);
    staged[xTo + STEP] = select(vec4f(), x1, inside);
    staged[xTo + 2u * STEP] = select(vec4f(), x2, inside);
    staged[xTo + 3u * STEP] = select(vec4f(), x3, inside);
    staged[xTo + 4u * STEP] = select(vec4f(), x4, inside);
    staged[KERNEL_BEGIN + local] = numbers(kernel0);
    staged[KERNEL_BEGIN + local + INVOCATIONS] = numbers(kernel1);
    staged[KERNEL_BEGIN + local + 2u * INVOCATIONS] = numbers(kernel2);
    staged[KERNEL_BEGIN + local + 3u * INVOCATIONS] = numbers(kernel3);
  }
  for (var k = 4u * STAGE; ; k += 4u * STAGE) {
    // After the last stage the first comes once more, and is left where it is.
    let next = select(0u, k, k < p.k);
    let inside = WHOLE || next + 4u * quad < p.k;
    let kOfX = select(0u, next, inside);
    let x0 = xNext(from0, kOfX, quad);
    let x1 = xNext(from1, kOfX, quad);
    let x2 = xNext(from2, kOfX, quad);
    let x3 = xNext(from3, kOfX, quad);
    let x4 = xNext(from4, kOfX, quad);
    let kernel0 = kernel[kernelFrom + kernelRow(next + kernelK) * columns];
    let kernel1 = kernel[kernelFrom + kernelRow(next + kernelK + KERNEL_STEP) * columns];
    let kernel2 = kernel[kernelFrom + kernelRow(next + kernelK + 2u * KERNEL_STEP) * columns];
    let kernel3 = kernel[kernelFrom + kernelRow(next + kernelK + 3u * KERNEL_STEP) * columns];
    workgroupBarrier();
    for (var i = 0u; i < QUADS; i++) {
      let w = kernelBegin + i * 32u;
      let x = xBegin + i * X_STRIDE;
      let wa0 = staged[w];
      let wb0 = staged[w + 4u];
      let wa1 = staged[w + 8u];
      let wb1 = staged[w + 12u];
      let wa2 = staged[w + 16u];
      let wb2 = staged[w + 20u];
      let wa3 = staged[w + 24u];
      let wb3 = staged[w + 28u];
      var v: vec4f;
      v = staged[x];
      a0 = a0 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b0 = b0 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 4u];
      a1 = a1 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b1 = b1 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 8u];
      a2 = a2 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b2 = b2 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 12u];
      a3 = a3 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b3 = b3 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 16u];
      a4 = a4 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b4 = b4 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 20u];
      a5 = a5 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b5 = b5 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 24u];
      a6 = a6 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b6 = b6 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 28u];
      a7 = a7 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b7 = b7 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 32u];
      a8 = a8 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b8 = b8 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
      v = staged[x + 36u];
      a9 = a9 + v.x * wa0 + v.y * wa1 + v.z * wa2 + v.w * wa3;
      b9 = b9 + v.x * wb0 + v.y * wb1 + v.z * wb2 + v.w * wb3;
    }
    workgroupBarrier();
    staged[xTo] = select(vec4f(), x0, inside);
    staged[xTo + STEP] = select(vec4f(), x1, inside);
    staged[xTo + 2u * STEP] = select(vec4f(), x2, inside);
    staged[xTo + 3u * STEP] = select(vec4f(), x3, inside);
    staged[xTo + 4u * STEP] = select(vec4f(), x4, inside);
    staged[KERNEL_BEGIN + local] = numbers(kernel0);
    staged[KERNEL_BEGIN + local + INVOCATIONS] = numbers(kernel1);
    staged[KERNEL_BEGIN + local + 2u * INVOCATIONS] = numbers(kernel2);
    staged[KERNEL_BEGIN + local + 3u * INVOCATIONS] = numbers(kernel3);
    if (k >= p.k) {
      break;
    }
  }

  meet(block, row, column, 0u, 8u, local, a0, b0, a1, b1, a2, b2, a3, b3);
  meet(block, row, column, 4u, 8u, local, a4, b4, a5, b5, a6, b6, a7, b7);
  meet(block, row, column, 8u, 4u, local, a8, b8, a9, b9, vec4f(), vec4f(), vec4f(), vec4f());
}

/** Where a row of x begins in a block of columns; rows beyond the last repeat it. */
fn xRow(block: u32, row: u32) -> u32 {
  return p.xOffset + min(row, p.rows - 1u) * p.xStride + block * p.k;
}

/**
 * Where an invocation begins to fetch a row: in vec4 where ALIGNED, which saves a shift for each
 * fetch.
 */
fn xFrom(block: u32, row: u32, quad: u32) -> u32 {
  let at = xRow(block, row) + 4u * quad;
  return select(at, at >> 2u, ALIGNED);
}

/** A quad of x, k elements from its first. */
fn xNext(begin: u32, k: u32, quad: u32) -> vec4f {
  if (ALIGNED) {
    return x[begin + (k >> 2u)];
  }
  return xAt(begin + k, k + 4u * quad);
}

/** Four elements of x, zero beyond the last k of the block. */
fn xAt(at: u32, k: u32) -> vec4f {
  if (ALIGNED) {
    return x[at >> 2u];
  }
  return select(vec4f(), vec4f(x[at >> 2u][at & 3u], x[(at + 1u) >> 2u][(at + 1u) & 3u], x[(at + 2u) >> 2u][(at + 2u) & 3u],
    x[(at + 3u) >> 2u][(at + 3u) & 3u]), k + vec4u(0u, 1u, 2u, 3u) < vec4u(p.k));
}

/**
 * Which of the 4 rows of a slice's first quarter an invocation computes, and which vec4 of columns.
 */
fn downOf(local: u32) -> u32 {
  return local / 2u % 2u + local / 8u % 2u * 2u;
}

fn acrossOf(local: u32) -> u32 {
  return local % 2u + local / 4u % 2u * 2u;
}

/** A row of a kernel; rows beyond the last repeat it. */
fn kernelRow(k: u32) -> u32 {
  if (WHOLE) {
    return k;
  }
  return min(k, p.k - 1u);
}

/**
 * Adds up what the slices have for rows down + 4·first, down + 4·(first + 1), .., of which there
 * are two `parts` each, and finishes them. Four rows at a time, so that each invocation has
 * something to add, and few barriers are needed.
 */
fn meet(block: u32, row: u32, column: u32, first: u32, parts: u32, local: u32, a0: vec4f, b0: vec4f, a1: vec4f, b1: vec4f, a2: vec4f, b2: vec4f, a3: vec4f, b3: vec4f) {
  workgroupBarrier();
  staged[local] = a0;
  staged[local + INVOCATIONS] = b0;
  staged[local + 2u * INVOCATIONS] = a1;
  staged[local + 3u * INVOCATIONS] = b1;
  staged[local + 4u * INVOCATIONS] = a2;
  staged[local + 5u * INVOCATIONS] = b2;
  staged[local + 6u * INVOCATIONS] = a3;
  staged[local + 7u * INVOCATIONS] = b3;
  workgroupBarrier();
  let within = local % SLICE;
  for (var part = local / SLICE; part < parts; part += SLICES) {
    var sum = vec4f();
    for (var slice = 0u; slice < SLICES; slice++) {
      sum += staged[part * INVOCATIONS + slice * SLICE + within];
    }
    finish(block, row + downOf(within) + (first + part / 2u) * 4u, (column + acrossOf(within) + part % 2u * 4u) * 4u, sum);
  }
}
