/**
 * The compare page: runs benches in a worker, shows their reports and those of other machines, and
 * saves them.
 */
import { pageOf, sectionsOf } from '../../src/bench/lib/html.ts'
import { parseReports, type Report } from '../../src/bench/lib/report.ts'
import { STYLE } from '../../src/bench/lib/style.ts'
import type { CompareReply, CompareRequest, CompareSettings, Part } from './compareMessages.ts'
import { onDrop } from './drop.ts'
import { element, hideMessage, showMessage } from './text.ts'
import { followTheme } from './theme.ts'

const [settings, runButton, stopButton, progress, doing] = [
  element<HTMLFormElement>('settings'),
  element<HTMLButtonElement>('run'),
  element<HTMLButtonElement>('stop'),
  element<HTMLProgressElement>('progress'),
  element('doing'),
]
const names: Readonly<Record<Part, string>> = {
  kernels: 'the kernels',
  frame: 'a frame',
  growth: 'growth',
  peer: 'onnxruntime-web and trecvit, alternating',
}

let reports: Report[] = []
/** A new worker for each run, so that runs do not influence each other. */
let worker: Worker | null = null
let began = 0

// ---- measuring

settings.onsubmit = (event) => {
  event.preventDefault()
  const of = new FormData(settings)
  const parts = (['kernels', 'frame', 'growth', 'peer'] as const).filter((name) => of.has(name))
  if (!parts.length)
    return showMessage(
      'Nothing to measure was chosen: tick kernels, frames, growth or onnxruntime-web.',
      true,
    )
  hideMessage()
  began = performance.now()
  progress.value = 0
  doing.textContent = 'Loading …'
  running(true)
  worker = new Worker('compareWorker.js', { type: 'module' })
  worker.onmessage = ({ data }: MessageEvent<CompareReply>) => receive(data)
  worker.onerror = (event) => {
    showMessage(`The bench failed: ${event.message || 'its script did not load'}.`, true)
    end('It failed.')
  }
  send({
    type: 'run',
    settings: {
      size: of.get('size') as CompareSettings['size'],
      build: of.get('build') as CompareSettings['build'],
      threads: Number(of.get('threads')),
      seconds: Number(of.get('seconds')),
      parts,
    },
  })
}

stopButton.onclick = () => {
  doing.textContent = 'Stopping …'
  send({ type: 'stop' })
}

function send(request: CompareRequest): void {
  worker?.postMessage(request)
}

function receive(reply: CompareReply): void {
  switch (reply.type) {
    case 'progress': {
      progress.value = reply.share
      const seconds = (performance.now() - began) / 1000
      const left =
        reply.share > 0.02
          ? `, about ${Math.ceil((seconds * (1 - reply.share)) / reply.share)} s left`
          : ''
      doing.textContent = `Measuring ${names[reply.part]}${left}`
      return
    }
    case 'report':
      return add([reply.report])
    case 'error':
      return showMessage(reply.text, true)
    case 'done':
      return end(
        reply.stopped
          ? 'Stopped; what was measured is below.'
          : `Done in ${Math.round((performance.now() - began) / 1000)} s.`,
      )
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
  for (const id of ['save', 'savePage', 'clear'])
    element<HTMLButtonElement>(id).disabled = reports.length === 0
}

function save(name: string, type: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

async function open(files: Iterable<File>): Promise<void> {
  hideMessage()
  for (const file of files) {
    try {
      add(parseReports(file.name, await file.text()))
    } catch (error) {
      showMessage(`${(error as Error).message}.`, true)
    }
  }
}

element('save').onclick = () =>
  save('trecvit-bench.json', 'application/json', `${JSON.stringify(reports, null, 2)}\n`)
element('savePage').onclick = () => save('trecvit-bench.html', 'text/html', pageOf(reports))
element('clear').onclick = () => {
  reports = []
  draw()
}
element<HTMLInputElement>('open').onchange = ({ target }) => {
  const input = target as HTMLInputElement
  void open([...(input.files ?? [])]).then(() => (input.value = ''))
}
onDrop((files) => void open(files))

document.head.append(Object.assign(document.createElement('style'), { textContent: STYLE }))
followTheme()
