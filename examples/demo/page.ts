/** The page: sends the user's actions to the worker, and shows its replies. */
import { Answer, fact, watchMemory } from './answer.ts'
import { codeOf } from './code.ts'
import { copy, showCode } from './codePanel.ts'
import { orderColours } from './colours.ts'
import { onDrop } from './drop.ts'
import { Inside } from './inside.ts'
import { Kinetics } from './kinetics.ts'
import type { Reply, Request } from './messages.ts'
import { WINDOW } from './messages.ts'
import { ModelPanel } from './model.ts'
import { whatItNames } from './names.ts'
import { linkOf, onSettings, rateNow, settingsNow, showSettings, takeLink } from './settings.ts'
import { Sources } from './sources.ts'
import { worker } from './start.ts'
import { Tabs } from './tabs.ts'
import { element, showMessage } from './text.ts'
import { followTheme } from './theme.ts'
import { Timeline } from './timeline.ts'

const send = (request: Request, transfer: Transferable[] = []): void =>
  worker.postMessage(request, transfer)

const [play, stepButton, lose, picture] = [
  element<HTMLButtonElement>('play'),
  element<HTMLButtonElement>('step'),
  element<HTMLButtonElement>('lose'),
  element<HTMLCanvasElement>('picture'),
]
const link = new URLSearchParams(location.search)
takeLink(link)

let playing = false
let backend = ''
let model: Pick<Extract<Reply, { type: 'model' }>, 'kind' | 'name'> = {
  kind: 'builtin',
  name: null,
}
let tab = 'timeline'
let asksForKinetics = link.get('model') === 'kinetics'

const timeline = new Timeline((time) => send({ type: 'seek', time }))
const answer = new Answer()
const sources = new Sources(send, (isLive) => {
  if (isLive) {
    timeline.open(null)
    element('about').textContent = ''
    enable(false)
  }
  changed()
})
const inside = new Inside(send, changed, picture, link)
const modelPanel = new ModelPanel(send)
const kinetics = new Kinetics(send)
const tabs = new Tabs(element('tabs'), (panel) => {
  tab = panel
  inside.open(panel === 'inside')
  if (panel === 'timeline') timeline.update()
  changed()
})

/** Called when the link and the code have changed. */
function changed(): void {
  const shown = {
    source: sources.kind,
    model: { kind: model.kind, name: model.name },
    settings: settingsNow(),
    rate: rateNow(),
  }
  showCode(codeOf(shown))
  history.replaceState(null, '', address())
}

/** Returns the address of the page with its current state. */
function address(): string {
  return linkOf({
    ...inside.link,
    tab: tab === 'timeline' ? null : tab,
    model: model.kind === 'kinetics' ? 'kinetics' : null,
  })
}

// ---- replies

worker.onmessage = ({ data }: MessageEvent<Reply>) => {
  switch (data.type) {
    case 'device':
      return showDevice(data)
    case 'settings':
      showSettings(data.settings)
      kinetics.reset()
      return changed()
    case 'model':
      model = data
      orderColours(data.labels)
      element('names').textContent = whatItNames(data)
      inside.fit(data.layers, data.heads)
      modelPanel.show(data)
      kinetics.showModel(data.kind)
      if (asksForKinetics) kinetics.open()
      asksForKinetics = false
      return changed()
    case 'loading':
      return modelPanel.follow(data.progress)
    case 'kept':
      return modelPanel.showKept(data.kept)
    case 'offer':
      return kinetics.showOffer(data)
    case 'estimate':
      return kinetics.showEstimate(data)
    case 'refused':
      return kinetics.showRefused(data)
    case 'map':
      return inside.show(data)
    case 'profile':
      return inside.showProfile(data.ops)
    case 'opened':
      if (!sources.opened(data.name)) return
      timeline.open(data.duration)
      element('frame').style.aspectRatio = `${data.width} / ${data.height}`
      element('about').textContent = `${data.about}.`
      return enable(true)
    case 'answer':
      return show(data)
    case 'cleared':
      timeline.clear()
      inside.clear()
      return answer.clear()
    case 'playing':
      playing = data.playing
      play.textContent = playing ? 'Pause' : 'Play'
      return
    case 'ended':
      return showMessage(answer.end(data))
    case 'note':
      return showMessage(data.text)
    case 'error':
      return showMessage(data.text, true)
  }
}
worker.onerror = (event) =>
  showMessage(
    `The engine could not be started: ${event.message || 'its script did not load'}.`,
    true,
  )

function show(data: Extract<Reply, { type: 'answer' }>): void {
  const { bitmap, time, top, frame } = data
  if (bitmap) {
    if (picture.width !== bitmap.width || picture.height !== bitmap.height)
      [picture.width, picture.height] = [bitmap.width, bitmap.height]
    picture.getContext('2d')!.drawImage(bitmap, 0, 0)
    bitmap.close()
  }
  timeline.add(time, frame + 1 < WINDOW ? null : top)
  answer.show(data)
  sources.answered()
}

function showDevice({ device, dtype, canLose }: Extract<Reply, { type: 'device' }>): void {
  if (backend && backend !== device.backend)
    timeline.mark(device.backend === 'wasm' ? 'CPU' : 'WebGPU')
  backend = device.backend
  const threads = device.threads === 1 ? '1 thread' : `${device.threads} threads`
  fact(
    'device',
    device.backend === 'webgpu'
      ? `WebGPU: ${device.kernels}, ${dtype}`
      : `CPU: ${device.kernels}, ${threads}, ${dtype}`,
  )
  element('why').hidden = !device.reason
  if (device.reason) element('why').textContent = explained(device.reason)
  lose.disabled = !canLose
  inside.changed()
}

/** Returns a reason, worded for this page. */
function explained(reason: string): string {
  if (crossOriginIsolated) return `Why no faster device: ${reason}.`
  return (
    'This page is not cross-origin isolated, so the CPU computes with one thread. ' +
    '"trecvit serve" and "npm run demo" send the headers that change it.'
  )
}

function enable(canPlay: boolean): void {
  play.disabled = stepButton.disabled = !canPlay
  element<HTMLButtonElement>('reset').disabled = false
}

// ---- actions of the user

play.onclick = () => send({ type: playing ? 'pause' : 'play' })
stepButton.onclick = () => send({ type: 'step' })
element('reset').onclick = () => send({ type: 'reset' })
lose.onclick = () => send({ type: 'lose' })
element('share').onclick = () => void copy(address(), 'Link')
element('copy').onclick = () => void copy(element('source').textContent, 'Code')

// Keys, where they have no other meaning.
addEventListener('keydown', (event) => {
  const free = event.target === document.body || event.target === picture
  if (!free || event.ctrlKey || event.altKey || event.metaKey) return
  if (event.key === ' ' && !play.disabled) play.click()
  else if (event.key === 'ArrowRight' && !stepButton.disabled) stepButton.click()
  else return
  event.preventDefault()
})

onDrop((files) => {
  const [other] = modelPanel.take(files)
  if (other) sources.open(other)
})

onSettings((name) => {
  if (name === 'rate') sources.openAgain()
  else send({ type: 'settings', settings: settingsNow() })
  changed()
})

followTheme(() => timeline.recolour())
watchMemory()

/** For tests. */
Object.assign(globalThis, { timeline, inside })

send({ type: 'settings', settings: settingsNow() })
void sources.openSample()
tabs.open(link.get('tab') ?? 'timeline')
