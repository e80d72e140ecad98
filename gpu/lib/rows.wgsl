// Sum and maximum of one value from each of the 64 invocations of a workgroup.
//
// Every invocation reads all 64 values. This takes one barrier; a tree would take six. Calls in the
// same workgroup must alternate between `slot` 0 and 1: some invocations may still read the values
// of the call before.

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
