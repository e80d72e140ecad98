import { escapeHtml } from './escapeHtml.ts'
import { format, type Roofline } from './report.ts'

/** Roof and points of one machine. */
export interface Series {
  readonly name: string
  /** CSS class of the machine. */
  readonly colour: string
  readonly roofline: Roofline
}

type Point = Roofline['points'][number]

/** Size of the drawing in its own units. */
const [WIDTH, HEIGHT] = [1000, 560]
const FRAME = { left: 62, right: 18, top: 16, bottom: 48 }
const LETTER = 6.2
const LINE = 14

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/**
 * Draws a roofline plot as SVG: billions of operations a second (GFLOP/s; of int8, GOP/s) against
 * operations per byte, both logarithmic. Each machine has a roof. Each kind of step is a point,
 * whose area is its share of a frame. The points of the first machine have labels, the others have
 * tooltips. Several roofs need a legend beside the plot.
 */
export function rooflinePlot(series: readonly Series[]): string {
  const all = series.map(({ name, colour, roofline }) => ({
    name,
    colour,
    ...roofline,
    unit: roofline.unit ?? 'GFLOP/s',
    points: byKind(roofline.points),
  }))
  const units = [...new Set(all.map(({ unit }) => unit))].join(' or ')
  const points = all.flatMap((one) => one.points)
  const ridges = all.map(({ peak, bandwidth }) => peak / bandwidth)
  const [xMin, xMax] = [
    Math.min(...points.map(({ intensity }) => intensity), ...ridges) / 1.6,
    Math.max(...points.map(({ intensity }) => intensity), ...ridges) * 2.2,
  ]
  const [yMin, yMax] = [
    Math.min(...points.map(({ rate }) => rate), ...all.map(({ peak }) => peak)) / 1.6,
    Math.max(...points.map(({ rate }) => rate), ...all.map(({ peak }) => peak)) * 1.8,
  ]
  const scale = (from: number, to: number, start: number, end: number) => (value: number) =>
    start + (Math.log(value / from) / Math.log(to / from)) * (end - start)
  const x = scale(xMin, xMax, FRAME.left, WIDTH - FRAME.right)
  const y = scale(yMin, yMax, HEIGHT - FRAME.bottom, FRAME.top)

  const grid = [
    ...ticks(xMin, xMax).map(
      (tick) =>
        `<path class="grid" d="M${n(x(tick))} ${FRAME.top}V${HEIGHT - FRAME.bottom}"/>` +
        `<text class="tick" x="${n(x(tick))}" y="${HEIGHT - FRAME.bottom + 18}" ` +
        `text-anchor="middle">${tick}</text>`,
    ),
    ...ticks(yMin, yMax).map(
      (tick) =>
        `<path class="grid" d="M${FRAME.left} ${n(y(tick))}H${WIDTH - FRAME.right}"/>` +
        `<text class="tick" x="${FRAME.left - 8}" y="${n(y(tick) + 4)}" ` +
        `text-anchor="end">${tick}</text>`,
    ),
    `<text class="axis" x="${(FRAME.left + WIDTH - FRAME.right) / 2}" y="${HEIGHT - 8}" ` +
      'text-anchor="middle">operations per byte that must be read or written</text>',
    `<text class="axis" transform="translate(14 ${(FRAME.top + HEIGHT - FRAME.bottom) / 2}) ` +
      `rotate(-90)" text-anchor="middle">${units}</text>`,
  ]
  const radius = ({ share }: Point) => 4 + 12 * Math.sqrt(share)
  const taken: Box[] = all.flatMap((one) =>
    one.points.map((point) => ({
      x: x(point.intensity) - radius(point),
      y: y(point.rate) - radius(point),
      width: 2 * radius(point),
      height: 2 * radius(point),
    })),
  )
  const reserve = (px: number, py: number, width: number, height: number) =>
    taken.push({ x: px - width / 2, y: py - height / 2, width, height })
  const drawn = all.map(({ name, colour, unit, peak, bandwidth, points }) => {
    const ridge = peak / bandwidth
    const start = Math.max(xMin, yMin / bandwidth)
    const [x0, y0, x1, y1] = [x(start), y(start * bandwidth), x(ridge), y(peak)]
    for (let along = 0; along <= 1; along += 0.02)
      reserve(x0 + along * (x1 - x0), y0 + along * (y1 - y0), 6, 6)
    reserve((x1 + WIDTH) / 2, y1, WIDTH - x1, 3)
    const dots = points.map((point) => {
      const title =
        `${point.label}: ${format(point.rate)} ${unit} at ${format(point.intensity)} operations ` +
        `per byte, ${format(100 * point.share)} % of a frame (${name})`
      return (
        `<circle cx="${n(x(point.intensity))}" cy="${n(y(point.rate))}" ` +
        `r="${n(radius(point))}"><title>${escapeHtml(title)}</title></circle>`
      )
    })
    const roof = `M${n(x0)} ${n(y0)}L${n(x1)} ${n(y1)}H${WIDTH - FRAME.right}`
    return (
      `<g class="series ${colour}"><path class="roof" d="${roof}"/>` +
      `${all.length === 1 ? roofNotes() : ''}${dots.join('')}</g>`
    )

    /** Returns the labels of the roof, if there is only one. */
    function roofNotes(): string {
      const [flat, steep] = [
        `${format(peak)} ${unit}: a product in the L1 cache`,
        `${format(bandwidth)} GB/s: a copy`,
      ]
      const [cx, cy, angle, half] = [
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        Math.atan2(y1 - y0, x1 - x0),
        (steep.length * LETTER) / 2,
      ]
      for (let along = -half; along <= half; along += 6)
        reserve(
          cx + along * Math.cos(angle) - 12 * Math.sin(-angle),
          cy + along * Math.sin(angle) - 12 * Math.cos(angle),
          14,
          14,
        )
      reserve(x1 + 8 + (flat.length * LETTER) / 2, y1 - 11, flat.length * LETTER + 16, 18)
      const along = `translate(${n(cx)} ${n(cy)}) rotate(${n((angle * 180) / Math.PI)})`
      return (
        `<text class="note" x="${n(x1 + 8)}" y="${n(y1 - 7)}">${escapeHtml(flat)}</text>` +
        `<text class="note" transform="${along}" y="-8" ` +
        `text-anchor="middle">${escapeHtml(steep)}</text>`
      )
    }
  })
  // Points with the largest share are labelled first.
  const labels = [...all[0]!.points]
    .sort((one, other) => other.share - one.share)
    .map((point) => label(point, x(point.intensity), y(point.rate), radius(point), taken))
  const reached = all.map(
    ({ name, unit, peak, bandwidth }) =>
      `${name} reaches ${format(peak)} ${unit} and ${format(bandwidth)} GB/s`,
  )
  const summary = `Roofline: ${reached.join('; ')}. The table of kernels has the numbers.`
  return (
    `<svg class="roofline" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="${escapeHtml(summary)}">${[...grid, ...drawn, ...labels].join('')}</svg>`
  )
}

/** Formats a coordinate. */
function n(value: number): string {
  return value.toFixed(1)
}

/**
 * Merges steps of one kind, of any shape, into one point: sums of work over sums of time and
 * traffic.
 */
function byKind(points: readonly Point[]): Point[] {
  const kinds = new Map<string, Point[]>()
  for (const point of points) {
    const kind = point.label.replace(/^linear /, '').replace(/ \S*\d+( × .*)?$/, '')
    kinds.set(kind, [...(kinds.get(kind) ?? []), point])
  }
  return [...kinds].map(([label, same]) => {
    // share is proportional to time, share·rate to work, and share·rate / intensity to bytes
    const [share, work, bytes] = [
      ({ share }: Point) => share,
      ({ share, rate }: Point) => share * rate,
      ({ share, rate, intensity }: Point) => (share * rate) / intensity,
    ].map((of) => same.reduce((sum, point) => sum + of(point), 0)) as [number, number, number]
    return { label, share, rate: work / share, intensity: work / bytes }
  })
}

/**
 * Places the label of a point at the nearest free position. Draws a line to the point if the label
 * is not beside it.
 */
function label({ label }: Point, cx: number, cy: number, radius: number, taken: Box[]): string {
  const width = label.length * LETTER + 4
  const overlaps = (box: Box) =>
    box.x < FRAME.left ||
    box.x + box.width > WIDTH - FRAME.right ||
    box.y < FRAME.top ||
    box.y + box.height > HEIGHT - FRAME.bottom ||
    taken.some(
      (other) =>
        box.x < other.x + other.width &&
        other.x < box.x + box.width &&
        box.y < other.y + other.height &&
        other.y < box.y + box.height,
    )
  for (let distance = radius + 3; distance < 400; distance += 7) {
    for (const turn of [0, 4, 1, 7, 3, 5, 2, 6, 0.5, 7.5, 3.5, 4.5, 1.5, 2.5, 5.5, 6.5]) {
      const [dx, dy] = [Math.cos((turn * Math.PI) / 4), Math.sin((turn * Math.PI) / 4)]
      const [px, py] = [cx + dx * distance, cy + dy * distance]
      const box = {
        x: dx > 0.3 ? px : dx < -0.3 ? px - width : px - width / 2,
        y: py - LINE / 2,
        width,
        height: LINE,
      }
      if (overlaps(box)) continue
      taken.push(box)
      const edge = `${n(cx + dx * radius)} ${n(cy + dy * radius)}`
      const line =
        distance > radius + 12 ? `<path class="leader" d="M${edge}L${n(px)} ${n(py)}"/>` : ''
      return (
        `${line}<text class="label" x="${n(box.x + 2)}" y="${n(box.y + 11)}">` +
        `${escapeHtml(label)}</text>`
      )
    }
  }
  return ''
}

/** Returns ticks at 1, 2 and 5 times the powers of ten, or only at the powers if these are many. */
function ticks(from: number, to: number): number[] {
  const found: number[] = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++) {
    for (const digit of to / from > 3000 ? [1] : [1, 2, 5]) {
      const tick = digit * 10 ** power
      if (tick >= from && tick <= to) found.push(Number(tick.toPrecision(1)))
    }
  }
  return found
}
