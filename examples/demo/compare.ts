/** The compare page: runs the benches in a worker, draws their reports together with those of other machines, and saves them. */
import { pageOf, sectionsOf, STYLE } from '../../src/bench/lib/html.ts'
import { parseReports, type Report } from '../../src/bench/lib/report.ts'
import type { CompareReply, CompareRequest, CompareSettings, Part } from './compareMessages.ts'

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

const [settings, runButton, stopButton, progress, doing, message] = [
  element<HTMLFormElement>('settings'), element<HTMLButtonElement>('run'), element<HTMLButtonElement>('stop'), element<HTMLProgressElement>('progress'), element('doing'), element('message'),
]
const names: Readonly<Record<Part, string>> = { kernels: 'the kernels', frame: 'a frame', growth: 'growth', peer: 'onnxruntime-web, in turn with trecvit' }

let reports: Report[] = []
/** Made anew for each run, so that nothing of one is left in the next. */
let worker: Worker | null = null
let began = 0

// ---- measuring

settings.onsubmit = (event) => {
  event.preventDefault()
  const of = new FormData(settings)
  const parts = (['kernels', 'frame', 'growth', 'peer'] as const).filter((name) => of.has(name))
  if (!parts.length) return tell('Nothing to measure was chosen: tick kernels, frames, growth or onnxruntime-web.')
  message.hidden = true
  began = performance.now()
  progress.value = 0
  doing.textContent = 'Loading …'
  running(true)
  worker = new Worker('compareWorker.js', { type: 'module' })
  worker.onmessage = ({ data }: MessageEvent<CompareReply>) => hear(data)
  worker.onerror = (event) => {
    tell(`The bench could not go on: ${event.message || 'its script did not load'}.`)
    end('It failed.')
  }
  ask({ type: 'run', settings: { size: of.get('size') as CompareSettings['size'], build: of.get('build') as CompareSettings['build'], threads: Number(of.get('threads')), seconds: Number(of.get('seconds')), parts } })
}

stopButton.onclick = () => {
  doing.textContent = 'Stopping …'
  ask({ type: 'stop' })
}

function ask(request: CompareRequest): void {
  worker?.postMessage(request)
}

function hear(reply: CompareReply): void {
  switch (reply.type) {
    case 'progress': {
      progress.value = reply.share
      const seconds = (performance.now() - began) / 1000
      const left = reply.share > 0.02 ? `, about ${Math.ceil((seconds * (1 - reply.share)) / reply.share)} s left` : ''
      doing.textContent = `Measuring ${names[reply.part]}${left}`
      return
    }
    case 'report': return add([reply.report])
    case 'error': return tell(reply.text)
    case 'done': return end(reply.stopped ? 'Stopped; what was measured is below.' : `Done in ${Math.round((performance.now() - began) / 1000)} s.`)
  }
}

function end(text: string): void {
  worker?.terminate()
  worker = null
  progress.value = 0
  doing.textContent = text
  running(false)
}

function running(is: boolean): void {
  runButton.disabled = is
  stopButton.disabled = !is
}

// ---- reports

function add(more: readonly Report[]): void {
  reports = [...reports, ...more]
  draw()
}

function draw(): void {
  element('results').innerHTML = reports.length ? sectionsOf(reports) : ''
  for (const id of ['save', 'savePage', 'clear']) element<HTMLButtonElement>(id).disabled = reports.length === 0
}

function save(name: string, type: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

async function open(files: Iterable<File>): Promise<void> {
  message.hidden = true
  for (const file of files) {
    try {
      add(parseReports(file.name, await file.text()))
    } catch (error) {
      tell(`${(error as Error).message}.`)
    }
  }
}

element('save').onclick = () => save('trecvit-bench.json', 'application/json', `${JSON.stringify(reports, null, 2)}\n`)
element('savePage').onclick = () => save('trecvit-bench.html', 'text/html', pageOf(reports))
element('clear').onclick = () => {
  reports = []
  draw()
}
element<HTMLInputElement>('open').onchange = ({ target }) => {
  const input = target as HTMLInputElement
  void open([...input.files ?? []]).then(() => (input.value = ''))
}
addEventListener('dragover', (event) => {
  event.preventDefault()
  document.body.classList.add('dropping')
})
addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? document.body.classList.remove('dropping'))
addEventListener('drop', (event) => {
  event.preventDefault()
  document.body.classList.remove('dropping')
  void open([...event.dataTransfer?.files ?? []])
})

/** What went wrong stays until something else is done. */
function tell(text: string): void {
  message.textContent = text
  message.className = 'bad'
  message.hidden = false
}

// ---- light and dark

document.head.append(Object.assign(document.createElement('style'), { textContent: STYLE }))
const dark = matchMedia('(prefers-color-scheme: dark)')
const colour = (isDark: boolean) => void (document.documentElement.dataset['theme'] = isDark ? 'dark' : 'light')
dark.onchange = () => colour(dark.matches)
element('theme').onclick = () => colour(document.documentElement.dataset['theme'] !== 'dark')
colour(dark.matches)
