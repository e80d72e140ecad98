// Matrix product of normalised rows (rmsNorm or layerNorm, then linear):
//
//     out[i, j] = f(Σ_k norm(x)[i, k]·kernel[k, j] + bias[j])
//     norm(x)[i] = (x[i] − μ) / √(σ² + 1e-6) ⊙ scale + shift        layerNorm
//     norm(x)[i] = x[i] / √(μ² + σ² + 1e-6) ⊙ (1 + scale)           rmsNorm, as μ² + σ² = mean(x²)
//
// f is the activation; it acts on columns 0 to activated − 1.
//
// Shapes: x [rows, k], out [rows, n]; kernel [k, n]; bias [n]; scale and shift [k]. k is a multiple
// of 32, n of 4. The product that wrote x has stored moments after each of its rows
// (../linear.wgsl). Each workgroup combines those of its 40 rows. From means and squared deviations
// of 32 columns, the digits of σ² are safe when |μ| ≫ σ.
//
// Tiling: that of ../lib/tile.wgsl. x is normalised when it is copied to workgroup memory.
//
// Cost in a layer of Base: a norm of its own reads x and writes the result, 1.2 MB, and is a launch
// that waits for the whole product before it. Here a tile reads 7.7 KB of moments, where it reads
// 220 KB of x and kernel. A stage loads 2 vec4 more, where it loads 9, and does 40
// multiplications more for each 640.

/** Whether the norm is layerNorm; otherwise it is rmsNorm. */
override CENTRED: bool = true;

// With lib/kernel.wgsl, lib/blocks.wgsl, lib/frames.wgsl, lib/tile.norm.wgsl,
// lib/exponential.wgsl, lib/activations.wgsl.
// Binding 0 is `p`, the numbers of this step in src/program/ops/fused.ts.
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<Quad>;
@group(0) @binding(3) var<storage, read> kernel: array<Four>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> scales: array<vec4f>;
@group(0) @binding(6) var<storage, read> shifts: array<vec4f>;

/** Of each row of the tile: μ (0 for rmsNorm), and the factor of x − μ. */
var<workgroup> norms: array<vec2f, 40>;

/** Combines the moments of the rows of a tile, each by one invocation. */
fn combine(row: u32, local: u32) {
  if (local < 40u) {
    let begin = (xRow(0u, row + local) + p.k) >> 2u;
    var mean = 0.0;
    var squares = 0.0;
    for (var i = 0u; i < p.k / 32u; i++) {
      let two = x[begin + i / 2u];
      let moments = select(two.xy, two.zw, i % 2u == 1u);
      let difference = moments.x - mean;
      let share = 1.0 / f32(i + 1u);
      mean += difference * share;
      squares += moments.y + 32.0 * difference * difference * (1.0 - share);
    }
    let variance = squares / f32(p.k);
    if (CENTRED) {
      norms[local] = vec2f(mean, 1.0 / sqrt(variance + 1e-6));
    } else {
      norms[local] = vec2f(0.0, 1.0 / sqrt(mean * mean + variance + 1e-6));
    }
  }
  workgroupBarrier();
}

fn scaleAt(k: u32, quad: u32) -> vec4f {
  let scale = scales[min((k >> 2u) + quad, p.k / 4u - 1u)];
  if (CENTRED) {
    return scale;
  }
  return 1.0 + scale;
}

fn shiftAt(k: u32, quad: u32) -> vec4f {
  if (CENTRED) {
    return shifts[min((k >> 2u) + quad, p.k / 4u - 1u)];
  }
  return vec4f();
}

/** Four numbers of a row of the tile, normalised. */
fn normalised(v: Quad, line: u32, scale: vec4f, shift: vec4f) -> Quad {
  let norm = norms[line];
  return (v - norm.x) * norm.y * scale + shift;
}

fn finished(_row: u32, _column: u32, _local: u32) {}

/** The epilogue: bias and activation, for four columns. */
fn finish(_block: u32, row: u32, column: u32, sum: Quad) {
  if (row >= p.rows || column >= p.n) {
    return;
  }
  var v = sum;
  if (p.biased == 1u) {
    v += bias[column >> 2u];
  }
  out[(p.outOffset + row * p.outStride + column) / 4u] =
    activate(v, column, p.activation, p.activated);
}
