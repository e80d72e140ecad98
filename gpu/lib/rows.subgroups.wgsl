// What the 64 invocations of a workgroup, one row, found together, where the device has subgroups:
// each subgroup reads the 64 values once and adds them up without another barrier. Nothing is
// assumed of its size, nor of which invocations it has. A workgroup that asks twice names another
// `slot`, 0 or 1, so that nobody writes what others still read.

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
