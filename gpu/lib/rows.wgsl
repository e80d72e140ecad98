// Sum and maximum of one value from each of the 64 invocations of a workgroup.
//
// Every invocation reads all 64 values. This takes one barrier; a tree would take six. A second
// call in the same workgroup must use the other `slot`, 0 or 1: some invocations may still read the
// first.

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
