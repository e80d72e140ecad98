// Mean of x over the frames since the reset, for each frame t of the chunk:
//
//     all        out[t] = Σ x / count
//     window     out[t] = mean of the last `frames` frames, or of all if there are fewer
//     half-life  out[t] = Σ α^age·x / Σ α^age, with α = 2^(−1/halfLife)
//
// Shapes: x and out [b, t, c]. The state `past` depends on the mode:
//
//     all        [slots, 2, c]: a sum and its rounding error, so that an endless sum keeps digits
//     window     [slots, frames, c]: a ring of frames, added again for each result, oldest
//                first; so rounding errors do not accumulate
//     half-life  [slots, 2, c]: a sum and its weight
//
// Work: one invocation for each column of a video, over all frames. No other invocation uses its
// part of the state, so the state is changed in place.

/** Mode: 0 all, 1 window, 2 half-life. */
override MODE: u32 = 0u;

// With lib/videos.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/time.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> past: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let video = index / p.c;
  let column = index % p.c;
  let stream = videos[video];
  let at = stream.slot * select(2u, u32(stream.averageFrames), MODE == 1u) * p.c + column;
  for (var t = 0u; t < p.t; t++) {
    let row = video * p.t + t;
    let value = x[p.xOffset + row * p.xFrame + column];
    let seen = stream.frame + t;
    var mean: f32;
    if (MODE == 0u) {
      mean = addExactly(at, value) / f32(seen + 1u);
    } else if (MODE == 1u) {
      mean = window(at, value, seen, u32(stream.averageFrames));
    } else {
      mean = fade(at, value, stream.averageFrames);
    }
    out[p.outOffset + row * p.outStride + column] = mean;
  }
}

/**
 * Adds with Knuth's TwoSum: the exact sum of two floats is the nearest float plus an error that is
 * also a float. Compilers may rearrange sums, and could then conclude that the error is zero. So
 * each step passes through `rounded`.
 */
fn addExactly(at: u32, value: f32) -> f32 {
  let sum = past[at];
  let next = rounded(sum + value);
  let taken = rounded(next - sum);
  let error = past[at + p.c] + (rounded(sum - rounded(next - taken)) + rounded(value - taken));
  past[at] = next;
  past[at + p.c] = error;
  return next + error;
}

/** Returns x. The compiler cannot know that p.zero is zero, so it cannot rearrange the sum. */
fn rounded(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) ^ p.zero);
}

fn window(at: u32, value: f32, seen: u32, frames: u32) -> f32 {
  let slot = seen % frames;
  past[at + slot * p.c] = value;
  let count = min(frames, seen + 1u);
  var sum = 0.0;
  for (var age = count; age > 0u; age--) {
    sum += past[at + (slot + 1u + frames - age) % frames * p.c];
  }
  return sum / f32(count);
}

fn fade(at: u32, value: f32, halfLife: f32) -> f32 {
  let decay = exp2(-1.0 / halfLife);
  let sum = past[at] * decay + value;
  let weight = past[at + p.c] * decay + 1.0;
  past[at] = sum;
  past[at + p.c] = weight;
  return sum / weight;
}
