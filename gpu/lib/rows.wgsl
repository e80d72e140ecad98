// What the 64 invocations of a workgroup, one row, found together. Each reads all 64 values, which
// costs one barrier where a tree would cost six. A workgroup that asks twice names another `slot`,
// 0 or 1, so that nobody writes what others still read.

var<workgroup> found: array<f32, 128>;

fn sumOf(local: u32, value: f32, slot: u32) -> f32 {
  found[64u * slot + local] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 64u; i++) {
    sum += found[64u * slot + i];
  }
  return sum;
}

fn largestOf(local: u32, value: f32, slot: u32) -> f32 {
  found[64u * slot + local] = value;
  workgroupBarrier();
  var largest = value;
  for (var i = 0u; i < 64u; i++) {
    largest = max(largest, found[64u * slot + i]);
  }
  return largest;
}
