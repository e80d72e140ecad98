// out[i, j] = f(Σ_k x[i, k]·kernel[k, j] + bias[j]) · multiply[i, j] + add[i, j] + table[i mod tableRows, j]
//
// x [rows, k], out, multiply and add [rows, n], each with its own stride; f acts on columns 0..activated−1. kernel [k, ⌈n/4⌉] vec4, zero
// where there is no column; bias [⌈n/4⌉] vec4; table [tableRows, ⌈n/4⌉] vec4. How a product ends is a parameter and no constant: it is asked
// once for 8 rows, and one pipeline serves all layers.
//
// main: a workgroup computes a tile of 64 × 64, an invocation 8 × 4 of it in eight named vec4. Every 4 steps of k cost it 8 + 4 loads of
// vec4 from workgroup memory for 128 multiplications. Tiles of 16 k lie there twice (16 KiB in all): while one is multiplied, the next is
// on its way, which leaves one barrier a tile.
//
// few: for a few rows (the head, one token of each frame) the kernel is read once and everything waits for it, so the k are dealt to 32
// slices of a workgroup of 32 columns, and their sums meet in workgroup memory; four rows at a time.

/** Rows of x, multiply and add begin at multiples of 4 elements, and k and n are multiples of 4: one load fetches 4 elements. */
override ALIGNED: bool = true;

struct Params {
  rows: u32,
  k: u32,
  n: u32,
  outOffset: u32,
  outStride: u32,
  xOffset: u32,
  xStride: u32,
  multiplyOffset: u32,
  multiplyStride: u32,
  addOffset: u32,
  addStride: u32,
  /** 1 if there is a bias. */
  biased: u32,
  /** 0 none, 1 gelu (tanh form), 2 tanh. */
  activation: u32,
  activated: u32,
  /** 1 if there is a product, and a sum. */
  multiplied: u32,
  added: u32,
  /** 0 if there is no table. */
  tableRows: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> multiply: array<vec4f>;
@group(0) @binding(4) var<storage, read> add: array<vec4f>;
@group(0) @binding(5) var<storage, read> kernel: array<vec4f>;
@group(0) @binding(6) var<storage, read> bias: array<vec4f>;
@group(0) @binding(7) var<storage, read> table: array<vec4f>;

const TILE = 64u;
/** k of a tile, and vec4 of k. */
const TILE_K = 16u;
const QUADS = 4u;

/** Two tiles of x, [64 rows, 4 vec4 of k], and two of the kernel, [16 k, 16 vec4 of columns]. */
var<workgroup> xTiles: array<vec4f, 512>;
var<workgroup> kernelTiles: array<vec4f, 512>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y * TILE;
  let column = group.x * TILE;
  // What this invocation fetches: two vec4 of each tile, 32 rows and 8 k apart.
  let xRow = row + local / QUADS;
  let xK = (local % QUADS) * 4u;
  let kernelK = local / 16u;
  let kernelColumn = column / 4u + local % 16u;
  // And what it computes: 8 rows of 4 columns.
  let xFrom = (local / 16u) * 8u * QUADS;
  let kernelFrom = local % 16u;

  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  var a4 = vec4f();
  var a5 = vec4f();
  var a6 = vec4f();
  var a7 = vec4f();
  var half = 0u;
  xTiles[local] = xAt(xRow, xK);
  xTiles[local + 128u] = xAt(xRow + 32u, xK);
  kernelTiles[local] = kernelAt(kernelK, kernelColumn);
  kernelTiles[local + 128u] = kernelAt(kernelK + 8u, kernelColumn);
  workgroupBarrier();
  for (var k = TILE_K; ; k += TILE_K) {
    let x0 = xAt(xRow, k + xK);
    let x1 = xAt(xRow + 32u, k + xK);
    let kernel0 = kernelAt(k + kernelK, kernelColumn);
    let kernel1 = kernelAt(k + kernelK + 8u, kernelColumn);
    for (var quad = 0u; quad < QUADS; quad++) {
      let base = half + kernelFrom + quad * 64u;
      let w0 = kernelTiles[base];
      let w1 = kernelTiles[base + 16u];
      let w2 = kernelTiles[base + 32u];
      let w3 = kernelTiles[base + 48u];
      let at = half + xFrom + quad;
      var v = xTiles[at];
      a0 = a0 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 4u];
      a1 = a1 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 8u];
      a2 = a2 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 12u];
      a3 = a3 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 16u];
      a4 = a4 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 20u];
      a5 = a5 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 24u];
      a6 = a6 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 28u];
      a7 = a7 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
    }
    if (k >= p.k) {
      break;
    }
    half ^= 256u;
    xTiles[half + local] = x0;
    xTiles[half + local + 128u] = x1;
    kernelTiles[half + local] = kernel0;
    kernelTiles[half + local + 128u] = kernel1;
    workgroupBarrier();
  }

  let outRow = row + (local / 16u) * 8u;
  let outColumn = column + kernelFrom * 4u;
  finish(outRow, outColumn, a0);
  finish(outRow + 1u, outColumn, a1);
  finish(outRow + 2u, outColumn, a2);
  finish(outRow + 3u, outColumn, a3);
  finish(outRow + 4u, outColumn, a4);
  finish(outRow + 5u, outColumn, a5);
  finish(outRow + 6u, outColumn, a6);
  finish(outRow + 7u, outColumn, a7);
}

/** Sums of 4 rows, 32 slices of k, 8 vec4 of columns. */
var<workgroup> slices: array<vec4f, 1024>;

@compute @workgroup_size(256)
fn few(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y * 4u;
  let column = group.x * 8u;
  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  for (var k = (local / 8u) * 4u; k < p.k; k += 128u) {
    let w0 = kernelAt(k, column + local % 8u);
    let w1 = kernelAt(k + 1u, column + local % 8u);
    let w2 = kernelAt(k + 2u, column + local % 8u);
    let w3 = kernelAt(k + 3u, column + local % 8u);
    var v = xAt(row, k);
    a0 = a0 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
    v = xAt(row + 1u, k);
    a1 = a1 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
    v = xAt(row + 2u, k);
    a2 = a2 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
    v = xAt(row + 3u, k);
    a3 = a3 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
  }
  slices[local] = a0;
  slices[local + 256u] = a1;
  slices[local + 512u] = a2;
  slices[local + 768u] = a3;
  workgroupBarrier();
  if (local < 32u) {
    let base = (local / 8u) * 256u + local % 8u;
    var sum = vec4f();
    for (var slice = 0u; slice < 256u; slice += 8u) {
      sum += slices[base + slice];
    }
    finish(row + local / 8u, (column + local % 8u) * 4u, sum);
  }
}

/** x[row, k..k+3], zero beyond the last k; rows beyond the last repeat it. */
fn xAt(row: u32, k: u32) -> vec4f {
  if (k >= p.k) {
    return vec4f();
  }
  let at = p.xOffset + min(row, p.rows - 1u) * p.xStride + k;
  if (ALIGNED) {
    return x[at >> 2u];
  }
  return select(vec4f(), vec4f(x[at >> 2u][at & 3u], x[(at + 1u) >> 2u][(at + 1u) & 3u], x[(at + 2u) >> 2u][(at + 2u) & 3u],
    x[(at + 3u) >> 2u][(at + 3u) & 3u]), k + vec4u(0u, 1u, 2u, 3u) < vec4u(p.k));
}

/** kernel[k, 4·column..4·column+3], zero beyond the last k; columns beyond the last repeat it. */
fn kernelAt(k: u32, column: u32) -> vec4f {
  if (k >= p.k) {
    return vec4f();
  }
  let columns = (p.n + 3u) / 4u;
  return kernel[k * columns + min(column, columns - 1u)];
}

/** Bias, activation, product, sum and table, then out[row, column..column+3], if it exists. */
fn finish(row: u32, column: u32, sum: vec4f) {
  if (row >= p.rows || column >= p.n) {
    return;
  }
  var v = sum;
  if (p.biased == 1u) {
    v += bias[column >> 2u];
  }
  if (p.activation != 0u && column < p.activated) {
    var activated: vec4f;
    if (p.activation == 1u) {
      activated = gelu(v);
    } else {
      activated = tanh4(v);
    }
    v = select(v, activated, column + vec4u(0u, 1u, 2u, 3u) < vec4u(p.activated));
  }
  if (p.multiplied == 1u) {
    v *= multiplyAt(p.multiplyOffset + row * p.multiplyStride + column);
  }
  if (p.added == 1u) {
    v += addAt(p.addOffset + row * p.addStride + column);
  }
  if (p.tableRows != 0u) {
    v += table[(row % p.tableRows) * ((p.n + 3u) / 4u) + (column >> 2u)];
  }
  let at = p.outOffset + row * p.outStride + column;
  out[at] = v.x;
  if (ALIGNED || column + 1u < p.n) {
    out[at + 1u] = v.y;
  }
  if (ALIGNED || column + 2u < p.n) {
    out[at + 2u] = v.z;
  }
  if (ALIGNED || column + 3u < p.n) {
    out[at + 3u] = v.w;
  }
}

fn multiplyAt(at: u32) -> vec4f {
  if (ALIGNED) {
    return multiply[at >> 2u];
  }
  return vec4f(multiply[at >> 2u][at & 3u], multiply[(at + 1u) >> 2u][(at + 1u) & 3u], multiply[(at + 2u) >> 2u][(at + 2u) & 3u],
    multiply[(at + 3u) >> 2u][(at + 3u) & 3u]);
}

fn addAt(at: u32) -> vec4f {
  if (ALIGNED) {
    return add[at >> 2u];
  }
  return vec4f(add[at >> 2u][at & 3u], add[(at + 1u) >> 2u][(at + 1u) & 3u], add[(at + 2u) >> 2u][(at + 2u) & 3u],
    add[(at + 3u) >> 2u][(at + 3u) & 3u]);
}

/** 0.5·x·(1 + tanh u) = x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³); zero in float32 below −64. */
fn gelu(x: vec4f) -> vec4f {
  let u = -1.5957691216057308 * (x + 0.044715 * x * x * x);
  return select(x, vec4f(-64.0), x < vec4f(-64.0)) / (1.0 + exponential(u));
}

/** tanh: the polynomial of Cephes near 0, 1 − 2 / (e^2|x| + 1) with the sign of x elsewhere. tanh() is NaN for 100 on some drivers. */
fn tanh4(x: vec4f) -> vec4f {
  let z = x * x;
  let polynomial = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z - 3.33332819422e-1;
  let far = 1.0 - 2.0 / (exponential(2.0 * abs(x)) + 1.0);
  return select(polynomial * z * x + x, select(far, -far, x < vec4f()), abs(x) >= vec4f(0.625));
}

/**
 * e^x, x clamped to where the result is a normal number: with x = n·ln 2 + r, 2^n times the polynomial of Cephes for e^r. exp() may be wrong
 * by 3 + 2·|x| units in the last place. What is not a number stays so.
 */
fn exponential(x: vec4f) -> vec4f {
  let below = select(x, vec4f(88.0), x > vec4f(88.0));
  let clamped = select(below, vec4f(-87.0), below < vec4f(-87.0));
  let n = round(clamped * 1.44269504088896341);
  let r = (clamped - n * 0.693359375) + n * 2.12194440e-4;
  let polynomial = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r + 1.6666665459e-1) * r + 5.0000001201e-1;
  return (polynomial * r * r + r + 1.0) * bitcast<vec4f>((vec4i(n) + 127) << vec4u(23u));
}
