/**
 * The worker of the page, with the encoder and the head, so the page never blocks. Pictures are
 * queued; learning runs between them.
 */
import type { Frame } from 'trecvit/video'
import { Pace } from '../demo/pace.ts'
import { pictureOf } from '../demo/picture.ts'
import { inTurn, postErrors, queue } from '../demo/turns.ts'
import type { Request } from './messages.ts'
import { post } from './post.ts'
import { openClip, readClip } from './reading.ts'
import { Teacher } from './teacher.ts'
import { Watcher } from './watcher.ts'

const teacher = new Teacher()
const { lesson } = teacher

let watcher: Watcher | undefined
/** Counts sources, so that a playing clip knows whether it is still the current one. */
let sources = 0

/** Watches another source, or none. */
async function watch(isCamera: boolean | null): Promise<number> {
  const before = watcher
  watcher = isCamera === null ? undefined : new Watcher(teacher.encoder, isCamera)
  const mine = ++sources
  await before?.close()
  return mine
}

async function seeFrame(frame: Frame): Promise<void> {
  if (!watcher) return
  const bitmap = await pictureOf(frame)
  const probs = await watcher.see(frame, bitmap, teacher.head)
  post({ type: 'frame', bitmap, from: 'camera', probs }, [bitmap])
  const { recording } = watcher
  if (!recording) return
  post({ type: 'recording', ...recording })
  if (recording.done < 1) return
  lesson.record(recording.action, watcher.take())
  void postErrors(teacher.changedRecordings())
}

/** Plays a clip at its own pace, or as fast as possible if that is slower. */
async function play(file: File): Promise<void> {
  const { frames } = await openClip(file, teacher.encoder)
  const mine = await queue(() => watch(false))
  const pace = new Pace()
  for await (const frame of frames) {
    if (mine !== sources) return
    const { time } = frame
    await queue(async () => {
      if (mine !== sources) return
      const bitmap = await pictureOf(frame)
      const probs = await watcher!.see(frame, bitmap, teacher.head)
      post({ type: 'frame', bitmap, from: 'clip', probs }, [bitmap])
    })
    await pace.wait(time)
  }
}

/** Reads clips one after the other. One that cannot be read is reported, and the next is read. */
async function readClips(action: number, files: readonly File[]): Promise<void> {
  let isAdded = false
  for (const file of files)
    await postErrors(
      (async () => {
        const report = (seconds: number, duration: number | null): void =>
          post({ type: 'reading', action, name: file.name, seconds, duration })
        report(0, null)
        lesson.record(action, await readClip(file, teacher.encoder, report))
        isAdded = true
        teacher.show()
      })(),
    )
  post({ type: 'reading', action, name: null, seconds: 0, duration: null })
  if (isAdded) await teacher.changedRecordings()
}

async function correct(action: number): Promise<void> {
  const recording = await queue(async () => watcher?.last())
  if (!recording)
    return post({ type: 'note', text: 'There are too few frames yet. Try again in a second.' })
  lesson.record(action, recording)
  const seconds = recording.seconds.toFixed(0)
  const label = lesson.labelOf(action)
  post({ type: 'note', text: `The last ${seconds} seconds were added to "${label}".` })
  await teacher.changedRecordings()
}

/** Changes of the lesson wait for each other. */
let changing: Promise<unknown> = Promise.resolve()

function change(work: () => Promise<void> | void): void {
  changing = postErrors(changing.then(work))
}

globalThis.onmessage = ({ data }: MessageEvent<Request>) => {
  switch (data.type) {
    case 'addAction':
      return change(() => {
        lesson.add()
        return teacher.changed()
      })
    case 'rename':
      return change(() => {
        lesson.rename(data.action, data.name)
        // The next letter does not wait until this one is kept.
        void teacher.changed()
      })
    case 'removeAction':
      return change(() => {
        lesson.remove(data.action)
        return teacher.changedRecordings()
      })
    case 'removeRecording':
      return change(() => {
        lesson.removeRecording(data.action, data.recording)
        return teacher.changedRecordings()
      })
    case 'clips':
      return change(() => readClips(data.action, data.files))
    case 'live':
      return void inTurn(() => watch(data.on ? true : null))
    case 'frame':
      return void inTurn(() => seeFrame(data.frame))
    case 'record':
      return watcher?.record(data.action)
    case 'correct':
      return change(() => correct(data.action))
    case 'learn':
      return change(() => void teacher.learn())
    case 'play':
      return void postErrors(play(data.file))
    case 'encoder':
      return change(async () => {
        await queue(() => watch(null))
        await teacher.useEncoder(data.file)
      })
    case 'download':
      return change(async () => {
        post({ type: 'file', name: 'my-actions.safetensors', file: await teacher.file() })
      })
    case 'forget':
      return change(async () => {
        await queue(() => watch(null))
        await teacher.forget()
      })
  }
}

change(() => teacher.begin())
