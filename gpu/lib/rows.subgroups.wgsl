// lib/rows.wgsl for devices with subgroups: sum and maximum of one value from each of the 64
// invocations of a workgroup.
//
// Each subgroup reads the 64 values once and combines them without a second barrier. Subgroups may
// have any size and any invocations. Calls in the same workgroup must alternate between `slot` 0
// and 1: some invocations may still read the values of the call before.

enable subgroups;

var<workgroup> found: array<f32, 128>;

fn sumOf(local: u32, value: f32, slot: u32) -> f32 {
  found[64u * slot + local] = value;
  workgroupBarrier();
  let size = subgroupAdd(1u);
  var sum = 0.0;
  for (var i = subgroupExclusiveAdd(1u); i < 64u; i += size) {
    sum += found[64u * slot + i];
  }
  return subgroupAdd(sum);
}

fn largestOf(local: u32, value: f32, slot: u32) -> f32 {
  found[64u * slot + local] = value;
  workgroupBarrier();
  let size = subgroupAdd(1u);
  var largest = value;
  for (var i = subgroupExclusiveAdd(1u); i < 64u; i += size) {
    largest = max(largest, found[64u * slot + i]);
  }
  return subgroupMax(largest);
}
