// A product of few rows: 4 rows × 32 columns of
//
//     sum[i, j] = Σ_k x[i, k]·kernel[k, j]
//
// This is a template with the arguments of lib/tile.wgsl, whose functions it calls. Most of the
// time is spent reading the kernel once. So k is split between 32 slices of a workgroup, which has
// 32 columns and 4 rows. The sums of the slices are added in workgroup memory.

/** The sums of slices: [4 rows, 32 slices of k, 8 vec4 of columns]. */
var<workgroup> slices: array<Quad, 1024>;

@compute @workgroup_size(256)
fn few(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y * 4u;
  let column = group.x * 8u;
  var a0 = Quad();
  var a1 = Quad();
  var a2 = Quad();
  var a3 = Quad();
  let columns = ($sizes.n + 3u) / 4u;
  let last = min(column + local % 8u, columns - 1u);
  for (var k = (local / 8u) * 4u; k < $sizes.k; k += 128u) {
    let w0 = numbers($kernel[k * columns + last]);
    let w1 = numbers($kernel[kernelRow(k + 1u) * columns + last]);
    let w2 = numbers($kernel[kernelRow(k + 2u) * columns + last]);
    let w3 = numbers($kernel[kernelRow(k + 3u) * columns + last]);
    var v = xAt(xRow(0u, row) + k, k);
    a0 = a0 + $times(v.x, w0) + $times(v.y, w1) + $times(v.z, w2) + $times(v.w, w3);
    v = xAt(xRow(0u, row + 1u) + k, k);
    a1 = a1 + $times(v.x, w0) + $times(v.y, w1) + $times(v.z, w2) + $times(v.w, w3);
    v = xAt(xRow(0u, row + 2u) + k, k);
    a2 = a2 + $times(v.x, w0) + $times(v.y, w1) + $times(v.z, w2) + $times(v.w, w3);
    v = xAt(xRow(0u, row + 3u) + k, k);
    a3 = a3 + $times(v.x, w0) + $times(v.y, w1) + $times(v.z, w2) + $times(v.w, w3);
  }
  slices[local] = a0;
  slices[local + 256u] = a1;
  slices[local + 512u] = a2;
  slices[local + 768u] = a3;
  workgroupBarrier();
  if (local < 32u) {
    let base = (local / 8u) * 256u + local % 8u;
    var sum = Quad();
    for (var slice = 0u; slice < 256u; slice += 8u) {
      sum += slices[base + slice];
    }
    $epilogue(0u, row + local / 8u, (column + local % 8u) * 4u, sum);
  }
}
