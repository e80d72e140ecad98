/** The page: what a person does goes to the worker, what it answers is shown. */
import { Timeline } from './chart.ts'
import { onDrop } from './drop.ts'
import { Inside } from './inside.ts'
import { Live } from './live.ts'
import type { Reply, Request, Settings } from './messages.ts'
import { ModelPanel } from './model.ts'
import { element, hush, nameOf, percent, tell } from './text.ts'
import { followTheme } from './theme.ts'

/** Answers that speed and latency are told of. */
const RECENT = 120

const [play, stepButton, resetButton, scrub, lose, picture] = [
  element<HTMLButtonElement>('play'),
  element<HTMLButtonElement>('step'),
  element<HTMLButtonElement>('reset'),
  element<HTMLInputElement>('scrub'),
  element<HTMLButtonElement>('lose'),
  element<HTMLCanvasElement>('picture'),
]
const settingsForm = element<HTMLFormElement>('settings')
const timeline = new Timeline(element('chart'), element('legend'))
const worker = new Worker('worker.js', { type: 'module' })
const ask = (request: Request, transfer: Transferable[] = []): void =>
  worker.postMessage(request, transfer)

let file: Blob | null = null
let playing = false
let backend = ''
const latencies: number[] = []
const arrivals: number[] = []

const inside = new Inside(ask, picture)
const model = new ModelPanel(ask)
const live = new Live(
  (bitmap, time) => ask({ type: 'picture', bitmap, time }, [bitmap]),
  (why) => tell(why, true),
)

// ---- what comes back

worker.onmessage = ({ data }: MessageEvent<Reply>) => {
  switch (data.type) {
    case 'device': {
      const { device, dtype, canLose } = data
      if (backend && backend !== device.backend)
        timeline.mark(device.backend === 'wasm' ? 'CPU' : 'WebGPU')
      backend = device.backend
      element('device').textContent =
        device.backend === 'webgpu'
          ? `WebGPU: ${device.kernels}, ${dtype}`
          : `CPU: ${device.kernels}, ${device.threads} ` +
            `${device.threads === 1 ? 'thread' : 'threads'}, ${dtype}`
      element('why').textContent = device.reason ? explained(device.reason) : ''
      lose.disabled = !canLose
      return inside.changed()
    }
    case 'model':
      inside.fit(data.layers, data.heads)
      return model.show(data)
    case 'loading':
      return model.follow(data.progress)
    case 'kept':
      return model.showKept(data.kept)
    case 'map':
      return inside.show(data)
    case 'profile':
      return inside.showProfile(data.ops)
    case 'opened':
      scrub.disabled = data.duration === null
      scrub.max = String(data.duration ?? 1)
      element('frame').title = data.about
      return enable(true)
    case 'answer':
      return show(data)
    case 'cleared':
      timeline.clear()
      inside.clear()
      latencies.length = arrivals.length = 0
      return
    case 'playing':
      playing = data.playing
      play.textContent = playing ? 'Pause' : 'Play'
      return
    case 'ended':
      return tell(
        `Over all ${data.frames} frames: ${nameOf(data.overall[0]!)} ` +
          `(${percent(data.overall[0]!.prob)}).`,
      )
    case 'note':
      return tell(data.text)
    case 'error':
      return tell(data.text, true)
  }
}
worker.onerror = (event) =>
  tell(`The engine could not be started: ${event.message || 'its script did not load'}.`, true)

function show({
  time,
  top,
  milliseconds,
  bitmap,
  frame,
}: Extract<Reply, { type: 'answer' }>): void {
  if (bitmap) {
    if (picture.width !== bitmap.width || picture.height !== bitmap.height)
      [picture.width, picture.height] = [bitmap.width, bitmap.height]
    picture.getContext('2d')!.drawImage(bitmap, 0, 0)
    bitmap.close()
  }
  timeline.add(time, top)
  element('label').textContent = nameOf(top[0]!)
  element('prob').textContent =
    `${percent(top[0]!.prob)} over the last 8 frames · frame ${frame + 1}`
  element('top').replaceChildren(
    ...top.slice(0, 5).map((one) => {
      const item = document.createElement('li')
      item.style.setProperty('--share', one.prob.toFixed(3))
      const name = document.createElement('span')
      name.textContent = nameOf(one)
      item.append(name, percent(one.prob))
      return item
    }),
  )
  if (document.activeElement !== scrub) scrub.value = String(time)
  element('time').textContent = `${time.toFixed(1)} s`
  picture.setAttribute(
    'aria-label',
    `The current frame, at ${time.toFixed(1)} seconds: ${nameOf(top[0]!)}`,
  )
  measure(milliseconds)
  live.answered()
}

function measure(milliseconds: number): void {
  for (const [list, value] of [
    [latencies, milliseconds],
    [arrivals, performance.now()],
  ] as const) {
    list.push(value)
    if (list.length > RECENT) list.shift()
  }
  const sorted = [...latencies].sort((one, other) => one - other)
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1)
  element('latency').textContent = `${at(0.5)} / ${at(0.95)} ms`
  const span = arrivals[arrivals.length - 1]! - arrivals[0]!
  element('fps').textContent = span > 0 ? ((1000 * (arrivals.length - 1)) / span).toFixed(1) : '–'
}

/** A reason in the words of this page. */
function explained(reason: string): string {
  if (!crossOriginIsolated)
    return (
      'This page is not cross-origin isolated, so the CPU computes with one thread; ' +
      '"trecvit serve" and "npm run demo" send the headers that change it.'
    )
  return `Why not on something better: ${reason}.`
}

function enable(canPlay: boolean): void {
  play.disabled = stepButton.disabled = !canPlay
  resetButton.disabled = false
}

// ---- what a person does

function open(next: Blob, name: string): void {
  live.stop()
  file = next
  hush()
  document.title = `${name} — trecvit`
  ask({ type: 'open', file: next, rate: Number(settingsForm['rate'].value) || 0 })
}

async function openSample(): Promise<void> {
  const response = await fetch('tour.mp4')
  if (!response.ok)
    return tell(`The sample clip is not beside this page (HTTP ${response.status}).`, true)
  open(await response.blob(), 'sample clip')
}

async function goLive(kind: 'camera' | 'screen'): Promise<void> {
  if (!(await live.start(kind, () => Number(settingsForm['rate'].value) || 30))) return
  file = null
  hush()
  document.title = `${kind} — trecvit`
  ask({ type: 'live' })
  enable(false)
  scrub.disabled = true
}

element('sample').onclick = () => void openSample()
element('camera').onclick = () => void goLive('camera')
element('screen').onclick = () => void goLive('screen')
element<HTMLInputElement>('file').onchange = ({ target }) => {
  const [chosen] = (target as HTMLInputElement).files ?? []
  if (chosen) open(chosen, chosen.name)
}
play.onclick = () => ask({ type: playing ? 'pause' : 'play' })
stepButton.onclick = () => ask({ type: 'step' })
resetButton.onclick = () => ask({ type: 'reset' })
scrub.onchange = () => ask({ type: 'seek', time: Number(scrub.value) })
lose.onclick = () => ask({ type: 'lose' })

// Where keys mean nothing else.
addEventListener('keydown', (event) => {
  const free = event.target === document.body || event.target === picture
  if (!free || event.ctrlKey || event.altKey || event.metaKey) return
  if (event.key === ' ' && !play.disabled) play.click()
  else if (event.key === 'ArrowRight' && !stepButton.disabled) stepButton.click()
  else return
  event.preventDefault()
})

onDrop((files) => {
  const [other] = model.take(files)
  if (other) open(other, other.name)
})

function settingsNow(): Settings {
  const of = new FormData(settingsForm)
  return {
    device: of.get('device') as Settings['device'],
    dtype: of.get('dtype') as Settings['dtype'],
    threads: Number(of.get('threads')) || 0,
    deterministic: of.has('deterministic'),
  }
}

settingsForm.onsubmit = (event) => event.preventDefault()
settingsForm.onchange = ({ target }) => {
  if ((target as HTMLInputElement).name !== 'rate')
    ask({ type: 'settings', settings: settingsNow() })
  else if (file) open(file, document.title.split(' — ')[0]!)
}

followTheme(() => timeline.recolour())

// ---- memory, where the browser tells

const measured = (
  performance as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> }
).measureUserAgentSpecificMemory
async function weigh(): Promise<void> {
  const { bytes } = await measured!.call(performance)
  element('memory').textContent = `${(bytes / 1e6).toFixed(0)} MB`
  setTimeout(() => void weigh().catch(() => {}), 5000)
}
if (measured && crossOriginIsolated) void weigh().catch(() => {})

/** For tests. */
Object.assign(globalThis, { timeline, inside })

ask({ type: 'settings', settings: settingsNow() })
void openSample()
