/** Reference implementations of the training operations in float64 (see test/reference.ts). */
import type { Activation, StepOf } from '../../src/program/program.ts'
import { gelu, type Memory, sigmoid, softmaxOf } from '../reference.ts'

const EPSILON = 1e-6

/** Functions by name. test/reference.ts includes them. */
export const training = {
  rmsNormGradient,
  layerNormGradient,
  sumRows,
  rowNorms,
  norm,
  crossEntropy,
  squaredError,
  decayGradient,
  rgLruGradient,
  conv1dGradient,
  averageGradient,
  poolGradient,
  attentionGradient,
  activate,
  linearActivationGradient,
  linearGateGradient,
  linearInputGradient,
  linearKernelGradient,
  sumFrames,
  weightValues,
  add,
  concatenate,
  gather,
  scatter,
  adamW,
  blend,
}

/** Returns f'(z) from z, or from tanh z. */
export function slope(activation: Activation, at: number): number {
  if (activation === 'none') return 1
  if (activation === 'tanh') return 1 - at * at
  if (Math.abs(at) > 30) return at > 0 ? 1 : 0
  const c = 2 * Math.sqrt(2 / Math.PI)
  const sigma = sigmoid(c * (at + 0.044715 * at ** 3))
  const rest = sigmoid(-c * (at + 0.044715 * at ** 3))
  return sigma * (1 + at * rest * c * (1 + 0.134145 * at ** 2))
}

/** out = f(z)·multiply; f acts on columns 0..activated−1 */
function activate({ outputs, inputs, params }: StepOf<'activate'>, memory: Memory): void {
  const z = memory.rows(inputs.z)
  const multiply = inputs.multiply && memory.rows(inputs.multiply)
  const f = params.activation === 'gelu' ? gelu : Math.tanh
  memory.rows(outputs.out).forEach((out, row) => {
    for (let j = 0; j < out.length; j++) {
      const value = z[row]![j]!
      out[j] = (j < params.activated ? f(value) : value) * (multiply?.[row]?.[j] ?? 1)
    }
  })
}

/** dz = dy·f'(z) in columns 0..activated−1, dy in the others */
function linearActivationGradient(
  { outputs, inputs, params }: StepOf<'linearActivationGradient'>,
  memory: Memory,
): void {
  const dy = memory.rows(inputs.dy)
  const at = memory.rows(inputs.at)
  memory.rows(outputs.dz).forEach((dz, row) => {
    for (let j = 0; j < dz.length; j++) {
      const factor = j < params.activated ? slope(params.activation, at[row]![j]!) : 1
      dz[j] = dy[row]![j]! * factor
    }
  })
}

/** dz = dy·multiply·f'(z), dmultiply = dy·f(z) */
function linearGateGradient(
  { outputs, inputs, params: { activation } }: StepOf<'linearGateGradient'>,
  memory: Memory,
): void {
  const [dy, at, multiply] = [inputs.dy, inputs.at, inputs.multiply].map(memory.rows)
  const dmultiply = memory.rows(outputs.dmultiply)
  memory.rows(outputs.dz).forEach((dz, row) => {
    for (let j = 0; j < dz.length; j++) {
      const z = at![row]![j]!
      dz[j] = dy![row]![j]! * multiply![row]![j]! * slope(activation, z)
      dmultiply[row]![j] = dy![row]![j]! * (activation === 'gelu' ? gelu(z) : z)
    }
  })
}

/** dx[r, q·k + i] = Σ_j dy[r, q·n + j]·kernel[q, i, j] + add[r, q·k + i] */
function linearInputGradient(
  { outputs, inputs, weights, sizes }: StepOf<'linearInputGradient'>,
  memory: Memory,
): void {
  const { k, n } = sizes as { k: number; n: number }
  const kernel = memory.weight(weights.kernel)
  const add = inputs.add && memory.rows(inputs.add)
  const dy = memory.rows(inputs.dy)
  memory.rows(outputs.dx).forEach((dx, row) => {
    for (let at = 0; at < dx.length; at++) {
      const from = Math.floor(at / k) * n
      let sum = add ? add[row]![at]! : 0
      for (let j = 0; j < n; j++) sum += dy[row]![from + j]! * kernel[at * n + j]!
      dx[at] = sum
    }
  })
}

/** dkernel[q·k + i, j] = Σ_r x[r, q·k + i]·dy[r, q·n + j] */
function linearKernelGradient(
  { outputs, inputs, sizes }: StepOf<'linearKernelGradient'>,
  memory: Memory,
): void {
  const { k, n } = sizes as { k: number; n: number }
  const x = memory.rows(inputs.x)
  const dy = memory.rows(inputs.dy)
  memory.rows(outputs.dkernel).forEach((dkernel, i) => {
    const from = Math.floor(i / k) * n
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let row = 0; row < x.length; row++) sum += x[row]![i]! * dy[row]![from + j]!
      dkernel[j] = sum
    }
  })
}

/** dx = (q − x̂·mean(q·x̂)) / r, q = dy·(1 + scale); dscale[i] = Σ dy·x̂ over the rows of a part */
function rmsNormGradient(
  { outputs, inputs, weights, sizes }: StepOf<'rmsNormGradient'>,
  memory: Memory,
): void {
  const scale = memory.weight(weights.scale)
  const dx = memory.rows(outputs.dx)
  const dscale = memory.rows(outputs.dscale)
  for (const part of dscale) part.fill(0)
  const dy = memory.rows(inputs.dy)
  memory.rows(inputs.x).forEach((x, row) => {
    const mean = (of: (i: number) => number) => x.reduce((sum, _, i) => sum + of(i), 0) / x.length
    const rms = Math.sqrt(mean((i) => x[i]! ** 2) + EPSILON)
    const q = (i: number) => dy[row]![i]! * (1 + scale[i]!)
    const product = mean((i) => (q(i) * x[i]!) / rms)
    const part = dscale[Math.floor(row / sizes['part']!)]!
    for (let i = 0; i < x.length; i++) {
      dx[row]![i] = (q(i) - (x[i]! / rms) * product) / rms
      part[i]! += (dy[row]![i]! * x[i]!) / rms
    }
  })
}

/**
 * dx = (q − mean(q) − x̂·mean(q·x̂)) / s, q = dy·scale; dscale[i] = Σ dy·x̂ over the rows of a part
 */
function layerNormGradient(
  { outputs, inputs, weights, sizes }: StepOf<'layerNormGradient'>,
  memory: Memory,
): void {
  const scale = memory.weight(weights.scale)
  const dx = memory.rows(outputs.dx)
  const dscale = memory.rows(outputs.dscale)
  for (const part of dscale) part.fill(0)
  const dy = memory.rows(inputs.dy)
  memory.rows(inputs.x).forEach((x, row) => {
    const mean = (of: (i: number) => number) => x.reduce((sum, _, i) => sum + of(i), 0) / x.length
    const centre = mean((i) => x[i]!)
    const deviation = Math.sqrt(mean((i) => (x[i]! - centre) ** 2) + EPSILON)
    const normalised = (i: number) => (x[i]! - centre) / deviation
    const q = (i: number) => dy[row]![i]! * scale[i]!
    const average = mean(q)
    const product = mean((i) => q(i) * normalised(i))
    const part = dscale[Math.floor(row / sizes['part']!)]!
    for (let i = 0; i < x.length; i++) {
      dx[row]![i] = (q(i) - average - normalised(i) * product) / deviation
      part[i]! += dy[row]![i]! * normalised(i)
    }
  })
}

/** out = Σ x over the rows */
function sumRows({ outputs, inputs }: StepOf<'sumRows'>, memory: Memory): void {
  const [out] = memory.rows(outputs.out)
  out!.fill(0)
  for (const x of memory.rows(inputs.x)) x.forEach((value, i) => (out![i]! += value))
}

/** √(Σ values²) */
const normOf = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0))

/** out[i] = √(Σ_j x[i, j]²) */
function rowNorms({ outputs, inputs }: StepOf<'rowNorms'>, memory: Memory): void {
  const x = memory.rows(inputs.x)
  memory.rows(outputs.out).forEach((out, row) => (out[0] = normOf([...x[row]!])))
}

/** out = √(add² + Σ x²) */
function norm({ outputs, inputs }: StepOf<'norm'>, memory: Memory): void {
  const all = [inputs.x, ...(inputs.add ? [inputs.add] : [])].flatMap(memory.rows)
  memory.rows(outputs.out)[0]![0] = normOf(all.flatMap((row) => [...row]))
}

/** loss = w·log Σ e^logits − Σ q·logits, dlogits = w·softmax(logits) − q; q targets, w = Σ q */
function crossEntropy({ outputs, inputs }: StepOf<'crossEntropy'>, memory: Memory): void {
  const [targets, loss] = [inputs.targets, outputs.loss].map(memory.rows)
  const dlogits = memory.rows(outputs.dlogits)
  memory.rows(inputs.logits).forEach((logits, row) => {
    const q = targets![row]!
    const sum = (of: (i: number) => number) => q.reduce((total, _, i) => total + of(i), 0)
    const largest = logits.reduce((one, other) => Math.max(one, other))
    const log = Math.log(sum((i) => Math.exp(logits[i]! - largest)))
    const w = sum((i) => q[i]!)
    loss![row]![0] = w * log + sum((i) => q[i]! * (largest - logits[i]!))
    dlogits[row]!.set(softmaxOf(logits).map((p, i) => w * p - q[i]!))
  })
}

/** loss = w·Σ (prediction − target)², dprediction = 2·w·(prediction − target) */
function squaredError({ outputs, inputs }: StepOf<'squaredError'>, memory: Memory): void {
  const [target, weight, loss] = [inputs.target, inputs.weight, outputs.loss].map(memory.rows)
  const dprediction = memory.rows(outputs.dprediction)
  memory.rows(inputs.prediction).forEach((prediction, row) => {
    const w = weight![row]![0]!
    const errors = prediction.map((value, i) => value - target![row]![i]!)
    loss![row]![0] = w * errors.reduce((sum, error) => sum + error ** 2, 0)
    dprediction[row]!.set(errors.map((error) => 2 * w * error))
  })
}

/** out = −8·σ(a)·ddecay */
function decayGradient(
  { outputs, inputs, weights }: StepOf<'decayGradient'>,
  memory: Memory,
): void {
  const a = memory.weight(weights.a)
  const [ddecay] = memory.rows(inputs.ddecay)
  memory.rows(outputs.out)[0]!.set(ddecay!.map((value, i) => -8 * sigmoid(a[i]!) * value))
}

/**
 * With a = exp(decay·ρ), ω = 1 − a² and δ[t] = dout[t]·y[t] + a[t+1]·δ[t+1]: dv = δ·√ω·γ,
 * dp = δ·√ω·v·γ·(1 − γ), dλ = δ·(s[t−1]·a − γ·v·a² / √max(ω, ω₀)), dq = dλ·decay·ρ·(1 − ρ),
 * dy = dout·s, ds = a[0]·δ[0], ddecay = Σ_t dλ·ρ; on the first frame of a clip s = γ·v
 */
function rgLruGradient(
  { outputs, inputs, weights, params: { heads, first } }: StepOf<'rgLruGradient'>,
  memory: Memory,
): void {
  const [b, t, n, e] = inputs.v.shape as [number, number, number, number]
  const decay = memory.weight(weights.decay)
  const carried = inputs.carried && memory.rows(inputs.carried)
  const [v, gates, y, dout] = [inputs.v, inputs.gates, inputs.y, inputs.dout].map((tensor) =>
    memory.rows(tensor),
  ) as [Float64Array[], Float64Array[], Float64Array[], Float64Array[]]
  const dinputs = memory.rows(outputs.dinputs)
  const dcarried = memory.rows(outputs.dcarried)
  const width = e / heads
  for (let unit = 0; unit < b * n; unit++) {
    for (let c = 0; c < e; c++) {
      const p = Math.floor(c / width) * 2 * width + (c % width)
      const rowOf = (frame: number) => (Math.floor(unit / n) * t + frame) * n + (unit % n)
      const before = carried?.[unit]?.[c] ?? 0
      const states: number[] = []
      for (let frame = 0; frame < t; frame++) {
        const row = rowOf(frame)
        const gated = sigmoid(gates[row]![p]!) * v[row]![c]!
        const logA = decay[c]! * sigmoid(gates[row]![p + width]!)
        const s = states[frame - 1] ?? before
        states.push(
          first && frame === 0
            ? gated
            : Math.exp(logA) * s + Math.sqrt(-Math.expm1(2 * logA)) * gated,
        )
      }
      let ds = carried?.[unit]?.[e + c] ?? 0
      let ddecay = 0
      for (let frame = t - 1; frame >= 0; frame--) {
        const row = rowOf(frame)
        const [gamma, rho] = [sigmoid(gates[row]![p]!), sigmoid(gates[row]![p + width]!)]
        const value = v[row]![c]!
        const delta = dout[row]![c]! * y[row]![c]! + ds
        const into = dinputs[row]!
        const logA = decay[c]! * rho
        const omega = -Math.expm1(2 * logA)
        const isFirst = first && frame === 0
        const through = isFirst ? delta : delta * Math.sqrt(omega)
        const slope = Math.exp(2 * logA) / Math.sqrt(Math.max(omega, 1 / (4 * 1000 ** 2)))
        const older = (states[frame - 1] ?? before) * Math.exp(logA)
        const dlambda = isFirst ? 0 : delta * (older - gamma * value * slope)
        into[p] = through * value * gamma * sigmoid(-gates[row]![p]!)
        into[p + width] = dlambda * decay[c]! * rho * sigmoid(-gates[row]![p + width]!)
        into[2 * e + c] = through * gamma
        into[3 * e + c] = dout[row]![c]! * states[frame]!
        ddecay += dlambda * rho
        ds = isFirst ? 0 : Math.exp(logA) * delta
      }
      dcarried[unit]!.set([ds], c)
      dcarried[unit]!.set([ddecay], e + c)
    }
  }
}

/**
 * dx[s] = Σ_j kernel[k−1−j]·dy[s+j], dkernel[k−1−j] = Σ_s x[s]·dy[s+j]; the past has s < 0, dnext
 * is the gradient of the last k−1 inputs
 */
function conv1dGradient(
  { outputs, inputs, weights, sizes }: StepOf<'conv1dGradient'>,
  memory: Memory,
): void {
  const [b, t, n, e] = inputs.x.shape as [number, number, number, number]
  const kernel = memory.weight(weights.kernel)
  const history = weights.kernel.rows - 1
  const [x, dy, dx, dpast] = [inputs.x, inputs.dy, outputs.dx, outputs.dpast].map((tensor) =>
    memory.rows(tensor),
  ) as [Float64Array[], Float64Array[], Float64Array[], Float64Array[]]
  const past = inputs.past && memory.rows(inputs.past)
  const dnext = inputs.dnext && memory.rows(inputs.dnext)
  const dkernel = memory.rows(outputs.dkernel)
  for (const row of [...dkernel, ...dx, ...dpast]) row.fill(0)
  for (let sequence = 0; sequence < b * n; sequence++) {
    const [video, token] = [Math.floor(sequence / n), sequence % n]
    const part = dkernel[Math.floor(sequence / sizes['part']!)]!
    const chunk = (frame: number) => (video * t + frame) * n + token
    const slot = (index: number) => (video * history + index) * n + token
    for (let s = -history; s < t; s++) {
      const into = s < 0 ? dpast[slot(history + s)]! : dx[chunk(s)]!
      const input = s < 0 ? past?.[slot(history + s)] : x[chunk(s)]
      const next = s >= t - history ? dnext?.[slot(s - t + history)] : undefined
      for (let c = 0; c < e; c++) {
        into[c]! += next?.[c] ?? 0
        for (let j = 0; j <= history; j++) {
          if (s + j < 0 || s + j >= t) continue
          const gradient = dy[chunk(s + j)]![c]!
          const tap = (history - j) * e + c
          into[c]! += kernel[tap]! * gradient
          if (input) part[tap]! += input[c]! * gradient
        }
      }
    }
  }
}

/** dx[s] = Σ_{t≥s} dy[t] / (t + 1) */
function averageGradient({ outputs, inputs }: StepOf<'averageGradient'>, memory: Memory): void {
  const t = inputs.dy.shape[1]!
  const dy = memory.rows(inputs.dy)
  memory.rows(outputs.dx).forEach((row, at) => {
    row.fill(0)
    for (let frame = at % t; frame < t; frame++)
      dy[at - (at % t) + frame]!.forEach((value, c) => (row[c]! += value / (frame + 1)))
  })
}

/** dx[f, i] = dy[f] / pooled for i < pooled, else 0 */
function poolGradient(
  { outputs, inputs, params: { n, pooled } }: StepOf<'poolGradient'>,
  memory: Memory,
): void {
  const dy = memory.rows(inputs.dy)
  memory.rows(outputs.dx).forEach((row, at) => {
    const isPooled = at % n < pooled
    row.set(dy[Math.floor(at / n)]!.map((value) => (isPooled ? value / pooled : 0)))
  })
}

/**
 * p = softmax(q·kᵀ/√r), ds = p·(dy·vᵀ − Σ dy·y)/√r: dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dy, for each
 * frame and head
 */
function attentionGradient(
  { outputs, inputs, params: { heads }, sizes }: StepOf<'attentionGradient'>,
  memory: Memory,
): void {
  const { nq, n, r } = sizes as { nq: number; n: number; r: number }
  const [q, k, v, y, dy] = [inputs.q, inputs.k, inputs.v, inputs.y, inputs.dy].map((tensor) =>
    memory.rows(tensor),
  ) as [Float64Array[], Float64Array[], Float64Array[], Float64Array[], Float64Array[]]
  const [dq, dk, dv] = [outputs.dq, outputs.dk, outputs.dv].map((tensor) =>
    memory.rows(tensor),
  ) as [Float64Array[], Float64Array[], Float64Array[]]
  for (const row of [...dq, ...dk, ...dv]) row.fill(0)
  q.forEach((query, i) => {
    const first = Math.floor(i / nq) * n
    const gradient = dy[i]!
    for (let head = 0; head < heads; head++) {
      const dot = (x: Float64Array, z: Float64Array) => {
        let sum = 0
        for (let c = head * r; c < (head + 1) * r; c++) sum += x[c]! * z[c]!
        return sum
      }
      const keys = k.slice(first, first + n)
      const p = softmaxOf(Float64Array.from(keys, (key) => dot(query, key) / Math.sqrt(r)))
      keys.forEach((key, j) => {
        const slope = dot(gradient, v[first + j]!) - dot(gradient, y[i]!)
        const ds = (p[j]! * slope) / Math.sqrt(r)
        for (let c = head * r; c < (head + 1) * r; c++) {
          dq[i]![c]! += ds * key[c]!
          dk[first + j]![c]! += ds * query[c]!
          dv[first + j]![c]! += p[j]! * gradient[c]!
        }
      })
    }
  })
}

/** out[i] = Σ x[f, i] over the frames */
function sumFrames({ outputs, inputs }: StepOf<'sumFrames'>, memory: Memory): void {
  const out = memory.rows(outputs.out)
  for (const row of out) row.fill(0)
  memory.rows(inputs.x).forEach((x, row) => {
    const to = out[row % out.length]!
    x.forEach((value, i) => (to[i]! += value))
  })
}

/** out[q·k + i, j] = weight[q, i, j] */
function weightValues({ outputs, weights }: StepOf<'weightValues'>, memory: Memory): void {
  const values = memory.weight(weights.weight)
  memory.rows(outputs.out).forEach((row, i) => {
    row.set(values.subarray(i * row.length, (i + 1) * row.length))
  })
}

/** out = a + b */
function add({ outputs, inputs }: StepOf<'add'>, memory: Memory): void {
  const [a, b] = [memory.rows(inputs.a), memory.rows(inputs.b)]
  memory.rows(outputs.out).forEach((out, row) => {
    out.set(a[row]!.map((value, j) => value + b[row]![j]!))
  })
}

/** out = [a, b, c] */
function concatenate({ outputs, inputs }: StepOf<'concatenate'>, memory: Memory): void {
  const parts = [inputs.a, inputs.b, ...(inputs.c ? [inputs.c] : [])].map(memory.rows)
  memory.rows(outputs.out).forEach((out, row) => {
    out.set(parts.flatMap((part) => [...part[row]!]))
  })
}

/**
 * g = gradient·clip/norm (norm ≥ clip > 0) or gradient; m = b1·m + (1 − b1)·g,
 * v = b2·v + (1 − b2)·g², value −= lr·(c1·m / (√(c2·v) + eps) + decay·value); out = norm
 */
function adamW({ outputs, inputs, weights }: StepOf<'adamW'>, memory: Memory): void {
  const [[rates], [[norm]]] = [inputs.rates, inputs.norm].map(memory.rows) as [
    [Float64Array],
    [[number]],
  ]
  const [lr, b1, b2, c1, c2, eps, decay, clip] = rates as unknown as number[]
  const [value, m, v] = [weights.value, weights.m, weights.v].map(memory.weight)
  memory.rows(outputs.out)[0]![0] = norm
  if (!Number.isFinite(norm)) return
  const factor = clip! > 0 && norm >= clip! ? clip! / norm : 1
  memory.rows(inputs.gradient).forEach((row, i) => {
    row.forEach((gradient, j) => {
      const at = i * row.length + j
      const g = gradient * factor
      m![at] = b1! * m![at]! + (1 - b1!) * g
      v![at] = b2! * v![at]! + (1 - b2!) * g ** 2
      const up = (c1! * m![at]!) / (Math.sqrt(c2! * v![at]!) + eps!) + decay! * value![at]!
      value![at]! -= lr! * up
    })
  })
}

/** value = keep·value + share·x */
function blend({ outputs, inputs, weights }: StepOf<'blend'>, memory: Memory): void {
  const [keep = 0, share = 0] = memory.rows(inputs.rates)[0]!
  const norm = memory.rows(inputs.norm)[0]![0]!
  const value = memory.weight(weights.value)
  memory.rows(outputs.out)[0]![0] = norm
  if (!Number.isFinite(norm)) return
  memory.rows(inputs.x).forEach((row, i) => {
    row.forEach((x, j) => {
      const at = i * row.length + j
      value[at] = (keep === 0 ? 0 : keep * value[at]!) + share * x
    })
  })
}

/** Returns row indices, limited to 0..n−1. */
const indicesOf = (row: Float64Array, n: number) =>
  Array.from(row, (value) => Math.max(0, Math.min(n - 1, value)))

/** out[b, t, i] = x[b, t, index[b, i]] */
function gather({ outputs, inputs }: StepOf<'gather'>, memory: Memory): void {
  const [, t, n] = inputs.x.shape as [number, number, number]
  const v = outputs.out.shape[2]!
  const x = memory.rows(inputs.x)
  const index = memory.rows(inputs.index)
  memory.rows(outputs.out).forEach((out, row) => {
    const frame = Math.floor(row / v)
    out.set(x[frame * n + indicesOf(index[Math.floor(frame / t)]!, n)[row % v]!]!)
  })
}

/** out[b, t, index[b, i]] = x[b, t, i], the token elsewhere */
function scatter(
  { outputs, inputs, weights, params: { n } }: StepOf<'scatter'>,
  memory: Memory,
): void {
  const [, t, v] = inputs.x.shape as [number, number, number]
  const out = memory.rows(outputs.out)
  const index = memory.rows(inputs.index)
  for (const row of out) row.set(weights.token ? memory.weight(weights.token) : row.map(() => 0))
  memory.rows(inputs.x).forEach((x, row) => {
    const frame = Math.floor(row / v)
    out[frame * n + indicesOf(index[Math.floor(frame / t)]!, n)[row % v]!]!.set(x)
  })
}
