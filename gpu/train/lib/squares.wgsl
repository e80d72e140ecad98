// The norm of numbers that the 64 invocations of a workgroup share. Each invocation first finds its
// largest magnitude, then adds the squares of its numbers times scaleOf(), which neither overflow
// nor vanish.
//
// Numbers are read as bits: WGSL allows a GPU to assume that no number is NaN or infinite. The bits
// of magnitudes have the order of the magnitudes. Infinity follows all finite ones, then NaN.

var<workgroup> magnitudes: array<u32, 64>;
var<workgroup> squares: array<f32, 64>;

/** Numbers that an invocation adds before it adds their sum to its other sums. */
const BLOCK = 16u;

/** The bits of |x|. */
fn magnitude(bits: u32) -> u32 {
  return bits & 0x7fffffffu;
}

/** Largest magnitude of all invocations. */
fn largestMagnitude(local: u32, largest: u32) -> u32 {
  magnitudes[local] = largest;
  workgroupBarrier();
  var most = 0u;
  for (var i = 0u; i < 64u; i++) {
    most = max(most, magnitudes[i]);
  }
  return most;
}

/** 2^-80 above 2^40, 2^80 below 2^-40, else 1. */
fn scaleOf(largest: u32) -> f32 {
  if (largest > 0x53800000u) {
    return 0x1p-80f;
  }
  return select(1.0, 0x1p80f, largest < 0x2b800000u);
}

/**
 * The bits of the norm.
 * @param sum of the scaled squares of this invocation
 */
fn normBits(local: u32, sum: f32, largest: u32) -> u32 {
  squares[local] = sum;
  workgroupBarrier();
  if (largest >= 0x7f800000u) {
    return largest;
  }
  // Sums of eight: an error grows with 16 additions instead of 64.
  var all = 0.0;
  for (var i = 0u; i < 64u; i += 8u) {
    var eight = 0.0;
    for (var j = i; j < i + 8u; j++) {
      eight += squares[j];
    }
    all += eight;
  }
  return bitcast<u32>(sqrt(all) / scaleOf(largest));
}
