/**
 * Mean of x over the frames since the reset, for each frame t of the chunk:
 *
 *     all        out[t] = Σ x / count
 *     window     out[t] = mean of the last `frames` frames, or of all if there are fewer
 *     half-life  out[t] = Σ α^age·x / Σ α^age, with α = 2^(−1/halfLife)
 *
 * Shapes: x and out [b, t, c]. The state `past` depends on the mode:
 *
 *     all        [b, 2, c]: a sum and its rounding error, so that an endless sum keeps 48 bits
 *     window     [b, frames, c]: a ring of frames, added again for each result, oldest first; so
 *                rounding errors do not accumulate
 *     half-life  [b, 2, c]: a sum and its weight
 *
 * A unit of work is one video.
 */
import { AverageArgs } from '../build/operations'
import { exp, first } from './lib/math'

/** Values of `mode`. */
const ALL: i32 = 0
const WINDOW: i32 = 1

/**
 * @param frame frames since the reset before this chunk
 * @param averageFrames frames of the window, or half-life in frames
 */
export function average(
  args: AverageArgs,
  state: usize,
  frame: f64,
  averageFrames: f64,
  begin: i32,
  end: i32,
): void {
  const bytes = (<usize>args.c) << 2
  const frames = <i32>averageFrames
  const slots = args.mode == WINDOW ? frames : 2
  const decay = first(exp(f32x4.splat(-0.6931471805599453 / <f32>averageFrames)))
  for (let video = begin; video < end; video++) {
    const past = args.past + state + <usize>(video * slots) * bytes
    for (let t = 0; t < args.t; t++) {
      const row = <usize>(video * args.t + t)
      const x = args.x + ((row * args.xFrame) << 2)
      const out = args.out + ((row * args.outStride) << 2)
      const seen = frame + <f64>t
      if (args.mode == ALL) addExactly(out, x, past, bytes, <f32>(seen + 1))
      else if (args.mode == WINDOW) window(out, x, past, bytes, frames, seen)
      else fade(out, x, past, bytes, decay)
    }
  }
}

/**
 * Adds with Knuth's TwoSum: the exact sum of two floats is the nearest float plus an error that is
 * also a float.
 */
function addExactly(out: usize, x: usize, past: usize, bytes: usize, count: f32): void {
  for (let i: usize = 0; i < bytes; i += 4) {
    const sum = load<f32>(past + i)
    const value = load<f32>(x + i)
    const next = sum + value
    const taken = next - sum
    const error = load<f32>(past + bytes + i) + (sum - (next - taken) + (value - taken))
    store<f32>(past + i, next)
    store<f32>(past + bytes + i, error)
    store<f32>(out + i, (next + error) / count)
  }
}

function window(out: usize, x: usize, past: usize, bytes: usize, frames: i32, seen: f64): void {
  const slot = <i32>(seen - floor(seen / <f64>frames) * <f64>frames)
  memory.copy(past + <usize>slot * bytes, x, bytes)
  const count = <i32>min(<f64>frames, seen + 1)
  memory.fill(out, 0, bytes)
  for (let age = count - 1; age >= 0; age--) {
    const from = past + <usize>((slot - age + frames) % frames) * bytes
    for (let i: usize = 0; i < bytes; i += 4)
      store<f32>(out + i, load<f32>(out + i) + load<f32>(from + i))
  }
  for (let i: usize = 0; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) / <f32>count)
}

function fade(out: usize, x: usize, past: usize, bytes: usize, decay: f32): void {
  for (let i: usize = 0; i < bytes; i += 4) {
    const sum = load<f32>(past + i) * decay + load<f32>(x + i)
    const weight = load<f32>(past + bytes + i) * decay + 1
    store<f32>(past + i, sum)
    store<f32>(past + bytes + i, weight)
    store<f32>(out + i, sum / weight)
  }
}
