/**
 * A form of the tile in gpu/lib/tile.wgsl. It computes rows · down by 4 · vectors · across numbers,
 * whose k are split between slices.
 */
export interface Form {
  /** Rows of an invocation, at a distance of `down`. */
  readonly rows: number
  /** vec4 of columns of an invocation, at a distance of `across`. */
  readonly vectors: number
  /** Invocations of a slice, in each direction. */
  readonly across: number
  readonly down: number
  readonly slices: number
  /** vec4 of k that a slice multiplies in a stage. */
  readonly quads: number
  /** Whether workgroup memory has two stages: one is written while the other is read. */
  readonly doubled?: boolean
  /** Whether the loop over quads is unrolled. */
  readonly unrolled?: boolean
  /** Whether the invocations of a slice are in row-major order instead of interleaved. */
  readonly plain?: boolean
  /**
   * Whether x and the kernel are declared writable, which keeps some compilers from moving loads.
   */
  readonly writable?: boolean
  /**
   * Parts that are omitted, to measure their cost: reads of x or the kernel from workgroup memory,
   * loads from memory, stores of stages. Results are then wrong.
   */
  readonly without?: readonly ('x' | 'kernel' | 'loads' | 'stores')[]
}

/** Sizes that follow from a form. */
export interface Sizes {
  readonly tileRows: number
  readonly tileColumns: number
  /** k must be a multiple of this. */
  readonly stage: number
  /** Bytes of workgroup memory. */
  readonly bytes: number
}

export function sizesOf(form: Form): Sizes {
  const { rows, vectors, across, down, slices, quads } = form
  return {
    tileRows: rows * down,
    tileColumns: 4 * vectors * across,
    stage: 4 * quads * slices,
    bytes: 16 * memoryOf(form),
  }
}

export function nameOf({ rows, vectors, across, down, slices, quads, ...how }: Form): string {
  const { without = [], ...flags } = how
  return [
    `${rows * down} × ${4 * vectors * across}, ${rows} × ${4 * vectors} each, ` +
      `${slices} slices of ${quads}, ${across * down * slices} invocations`,
    ...Object.keys(flags),
    ...without.map((part) => `without ${part}`),
  ].join(', ')
}

/**
 * Returns the source of the form, which replaces gpu/lib/tile.wgsl, for aligned operands and a k
 * that is a multiple of the stage.
 */
export function sourceOf(form: Form): string {
  const {
    rows,
    vectors,
    across,
    down,
    slices,
    quads,
    doubled,
    unrolled,
    plain,
    without = [],
  } = form
  const [slice, columns, stage] = [across * down, vectors * across, quads * slices]
  const invocations = slice * slices
  const odd = (rows * down) | 1
  const stored = stage * odd + 4 * stage * columns
  const each = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => line(index)).join('\n')
  const every = (line: (row: number, vector: number) => string) =>
    each(rows, (row) => each(vectors, (vector) => line(row, vector)))

  // Number of vec4 of a stage that each invocation loads. The last may be beyond the stage.
  const [xs, ws] = [rows * down * stage, 4 * stage * columns]
  const [xEach, wEach] = [Math.ceil(xs / invocations), Math.ceil(ws / invocations)]
  const item = (index: number, total: number) =>
    (index + 1) * invocations > total
      ? `min(local + ${index * invocations}u, ${total - 1}u)`
      : `local + ${index * invocations}u`
  const place = (index: number, total: number, to: string, value: string) =>
    (index + 1) * invocations > total
      ? `if (local + ${index * invocations}u < ${total}u) { ${to} = ${value}; }`
      : `${to} = ${value};`
  const load = without.includes('loads')
    ? {
        x: (_: number, next: string) => `vec4f(f32(${next}))`,
        w: (_: number, next: string) => `vec4f(f32(${next}), 1.0, 2.0, 3.0)`,
      }
    : {
        x: (i: number, next: string) => `x[fx${i} + (${next} >> 2u)]`,
        w: (i: number, next: string) => `numbers(kernel[fw${i} + ${next} * columns])`,
      }
  const loads = (next: string) => `
    ${each(xEach, (i) => `let x${i} = ${load.x(i, next)};`)}
    ${each(wEach, (i) => `let w${i} = ${load.w(i, next)};`)}`
  const loaded = [
    ...Array.from({ length: xEach }, (_, i) => `x${i}`),
    ...Array.from({ length: wEach }, (_, i) => `w${i}`),
  ].join(' + ')
  const stores = (to: string) =>
    without.includes('stores')
      ? `if (dot(${loaded}, vec4f(1.0)) == 1234567.0) { staged[local] = x0; }`
      : `${each(xEach, (i) => place(i, xs, `staged[${to} + tx${i}]`, `x${i}`))}
    ${each(wEach, (i) => place(i, ws, `staged[${to} + tw${i}]`, `w${i}`))}`
  const weight = (k: number, c: number) =>
    without.includes('kernel')
      ? `vec4f(f32(k), 1.0, ${k}.0, f32(local))`
      : `staged[w + ${k * columns + c * across}u]`
  const input = (row: number) =>
    without.includes('x')
      ? `vec4f(f32(k + ${row}u), 1.0, f32(local), 2.0)`
      : `staged[s + ${row * down}u]`
  const product = (row: number, c: number) => {
    const sum = `a${row}_${c}`
    return `${sum} = ${sum} + v.x * w0_${c} + v.y * w1_${c} + v.z * w2_${c} + v.w * w3_${c};`
  }
  const quad = (q: string) => `{
      let w = buffer + wBegin + ${q} * ${4 * columns}u;
      let s = buffer + xBegin + ${q} * ${odd}u;
      ${each(4, (k) => each(vectors, (c) => `let w${k}_${c} = ${weight(k, c)};`))}
      var v: vec4f;
      ${each(
        rows,
        (row) => `v = ${input(row)};
      ${each(vectors, (c) => product(row, c))}`,
      )}
    }`
  const products = unrolled
    ? each(quads, (q) => quad(`${q}u`))
    : `for (var q = 0u; q < ${quads}u; q++) ${quad('q')}`

  const together = togetherOf(form)
  const groups = Array.from(
    { length: Math.ceil(rows / together) },
    (_, group) => [group * together, Math.min(together, rows - group * together)] as const,
  )
  const kept = (from: number, row: number, c: number) =>
    `staged[local + ${(row * vectors + c) * invocations}u] = a${from + row}_${c};`
  const sums = groups
    .map(
      ([from, count]) => `
  workgroupBarrier();
  ${each(count, (row) => each(vectors, (c) => kept(from, row, c)))}
  workgroupBarrier();
  for (var part = slice; part < ${count * vectors}u; part += ${slices}u) {
    var sum = vec4f();
    for (var other = 0u; other < ${slices}u; other++) {
      sum += staged[part * ${invocations}u + other * ${slice}u + local % ${slice}u];
    }
    let to = row + down + (${from}u + part / ${vectors}u) * ${down}u;
    finish(0u, to, (column + across + part % ${vectors}u * ${across}u) * 4u, sum);
  }`,
    )
    .join('')

  return `
override ALIGNED: bool = true;
override WHOLE: bool = true;
const INVOCATIONS = ${invocations}u;
var<workgroup> staged: array<vec4f, ${memoryOf(form)}>;
fn xRow(block: u32, row: u32) -> u32 {
  return p.xOffset + min(row, p.rows - 1u) * p.xStride + block * p.k;
}
fn xAt(at: u32, k: u32) -> vec4f {
  return x[at >> 2u];
}
fn kernelRow(k: u32) -> u32 {
  return k;
}
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y * ${rows * down}u;
  let column = group.x * ${columns}u;
  let columns = (p.n + 3u) / 4u;
  let slice = local / ${slice}u;
  ${
    plain
      ? `let down = local % ${slice}u / ${across}u;\n  let across = local % ${across}u;`
      : 'let down = local / 2u % 2u + local / 8u % 2u * 2u;\n' +
        '  let across = local % 2u + local / 4u % 2u * 2u;'
  }
  ${every((row, vector) => `var a${row}_${vector} = vec4f();`)}
  ${each(
    xEach,
    (i) => `let ix${i} = ${item(i, xs)};
  let fx${i} = xRow(0u, row + ix${i} / ${stage}u) / 4u + ix${i} % ${stage}u;
  let tx${i} = ix${i} % ${stage}u * ${odd}u + ix${i} / ${stage}u;`,
  )}
  ${each(
    wEach,
    (i) => `let iw${i} = ${item(i, ws)};
  let fw${i} = iw${i} / ${columns}u * columns + min(column + iw${i} % ${columns}u, columns - 1u);
  let tw${i} = ${stage * odd}u + iw${i};`,
  )}
  let xBegin = slice * ${quads * odd}u + down;
  let wBegin = ${stage * odd}u + slice * ${quads * 4 * columns}u + across;
  var buffer = 0u;
  {
    ${loads('0u')}
    ${stores('0u')}
  }
  ${doubled ? 'workgroupBarrier();' : ''}
  for (var k = ${4 * stage}u; ; k += ${4 * stage}u) {
    let next = select(0u, k, k < p.k);
    ${loads('next')}
    ${doubled ? '' : 'workgroupBarrier();'}
    ${products}
    ${doubled ? `buffer = ${stored}u - buffer;` : 'workgroupBarrier();'}
    ${stores('buffer')}
    ${doubled ? 'workgroupBarrier();' : ''}
    if (k >= p.k) {
      break;
    }
  }
  ${sums}
}`
}

/** Returns the size of workgroup memory in vec4. */
function memoryOf(form: Form): number {
  return Math.max(
    stagesOf(form),
    togetherOf(form) * form.vectors * form.across * form.down * form.slices,
  )
}

/** Returns the size of the stages in vec4. */
function stagesOf({ rows, vectors, across, down, slices, quads, doubled }: Form): number {
  return (doubled ? 2 : 1) * quads * slices * (((rows * down) | 1) + 4 * vectors * across)
}

/**
 * Returns how many rows of an invocation are summed at a time. All invocations should have
 * something to add, and the sums must fit the memory of the stages.
 */
function togetherOf(form: Form): number {
  const { vectors, across, down, slices } = form
  return Math.max(
    1,
    Math.min(
      Math.max(1, Math.floor(slices / vectors)),
      Math.floor(stagesOf(form) / (vectors * across * down * slices)),
    ),
  )
}
