/** The page: sends the user's actions to the worker, and shows its replies. */
import { onDrop } from '../demo/drop.ts'
import { element, hideMessage, showMessage } from '../demo/text.ts'
import { followTheme } from '../demo/theme.ts'
import { Answers } from './answers.ts'
import { Cards } from './cards.ts'
import { Learning } from './learning.ts'
import { type ActionView, FEWEST, type LearntView, type Reply, type Request } from './messages.ts'
import { Recorder } from './recorder.ts'

const worker = new Worker('teachWorker.js', { type: 'module' })
const send = (request: Request, transfer: Transferable[] = []): void =>
  worker.postMessage(request, transfer)

const cards = new Cards({
  send,
  record: (action) => void recorder.record(action),
  clips: (action, files) => send({ type: 'clips', action, files }),
  confirm,
})
const learning = new Learning(send)
const answers = new Answers(send)
const recorder = new Recorder(send, cards, answers)

let actions: readonly ActionView[] = []
/** The first learning scrolls to the third step. */
let hasLearnt = false

worker.onmessage = ({ data }: MessageEvent<Reply>) => {
  switch (data.type) {
    case 'encoder':
      element('encoderName').textContent = data.name ?? 'built in'
      element('encoderAbout').textContent = `${data.about}.`
      element('builtin').hidden = data.name === null
      element<HTMLButtonElement>('camera').disabled = false
      recorder.rate = data.rate
      cards.ready()
      return learning.ready()
    case 'loading':
      if (data.share !== null)
        element('ready').textContent = `Loading ${data.name}: ${Math.round(100 * data.share)} % …`
      return
    case 'lesson':
      actions = data.actions
      hasLearnt ||= data.learnt !== null && !isLearning
      cards.show(data.actions)
      learning.show(data.actions, data.learnt)
      showSteps(data.actions, data.learnt)
      return answers.fit(data.actions, data.learnt)
    case 'frame':
      return showFrame(data)
    case 'recording':
      return recorder.follow(data)
    case 'reading':
      return cards.say(data.action, readingOf(data))
    case 'learning':
      isLearning = true
      return learning.follow(data)
    case 'learned':
      isLearning = false
      learning.end(data.seconds)
      if (data.seconds !== null && !hasLearnt) reveal()
      return
    case 'file':
      return save(data.file, data.name)
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

let isLearning = false

/** Marks the steps that are done, and the one that is next. */
function showSteps(actions: readonly ActionView[], learnt: LearntView | null): void {
  const recorded = actions.filter(({ recordings }) => recordings.length > 0).length
  element('camera').classList.toggle('next', learnt !== null)
  const next = learnt ? 2 : recorded < FEWEST ? 0 : 1
  for (const [index, id] of ['record', 'learn', 'try'].entries()) {
    const state = index < next ? 'done' : index === next ? 'next' : 'later'
    for (const mark of document.querySelectorAll<HTMLElement>(`#${id} h2 b, [href="#${id}"] b`)) {
      mark.textContent = state === 'done' ? '✓' : String(index + 1)
      mark.className = state
    }
  }
}

function showFrame(frame: Extract<Reply, { type: 'frame' }>): void {
  if (frame.from === 'camera') recorder.answered()
  answers.draw(frame.bitmap)
  if (!recorder.isAway) answers.show(frame)
}

function readingOf({ name, seconds, duration }: Extract<Reply, { type: 'reading' }>): string {
  if (name === null) return ''
  const done = duration ? `${Math.round((100 * seconds) / duration)} %` : `${seconds.toFixed(0)} s`
  return `Reading ${name}: ${done}`
}

/** Leads to the third step after the first learning. */
function reveal(): void {
  hasLearnt = true
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
  element('try').scrollIntoView({ behavior: calm ? 'auto' : 'smooth', block: 'nearest' })
}

function save(file: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

/** Asks a question in a dialog. */
function confirm(question: string, yes: string): Promise<boolean> {
  const dialog = element<HTMLDialogElement>('ask')
  element('question').textContent = question
  element('yes').textContent = yes
  dialog.returnValue = 'no'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes')
  })
}

// ---- actions of the user

function play(file: File): void {
  hideMessage()
  element('frame').classList.remove('mirrored')
  recorder.off()
  answers.clear()
  element('fileName').textContent = file.name
  element('openFile').classList.add('chosen')
  send({ type: 'play', file })
}

async function useEncoder(file: File | null): Promise<void> {
  const isEmpty = actions.every(({ recordings }) => recordings.length === 0)
  const question = 'Another encoder needs new recordings. Remove those that there are?'
  if (!isEmpty && !(await confirm(question, 'Remove them'))) return
  recorder.off()
  answers.idle()
  send({ type: 'encoder', file })
}

/** Calls back with the files that are chosen. */
function onFiles(id: string, take: (file: File) => void): void {
  const input = element<HTMLInputElement>(id)
  input.onchange = () => {
    const [file] = input.files!
    if (file) take(file)
    // Allows the same file to be chosen again.
    input.value = ''
  }
}
onFiles('file', play)
onFiles('checkpoint', (file) => void useEncoder(file))
element('builtin').onclick = () => void useEncoder(null)
element('forget').onclick = async () => {
  if (!(await confirm('Remove all actions, recordings and what was learnt?', 'Remove all'))) return
  recorder.off()
  answers.idle()
  hasLearnt = false
  send({ type: 'forget' })
}

const isCheckpoint = ({ name }: File): boolean => /\.(npz|safetensors)$/i.test(name)

onDrop((files, target) => {
  const checkpoint = files.find(isCheckpoint)
  if (checkpoint) return void useEncoder(checkpoint)
  const action = cards.actionAt(target)
  if (action !== undefined) send({ type: 'clips', action, files })
  else if (element('try').contains(target as Node) && files[0]) play(files[0])
  else showMessage('Drop clips on the card of their action, or on step 3 to try them.')
})

followTheme()
