/**
 * The engine: a model and a stream, in a worker, so that the page never waits. Everything happens
 * in turn; what plays takes a turn for each frame.
 */
import {
  type Class,
  type FrameAnswer,
  type FrameLike,
  type Stream,
  TRecViT,
  TrecvitError,
} from 'trecvit'
import { type Frame, openVideo, sample, type Video } from 'trecvit/video'
import { forget, keep, kept } from './kept.ts'
import { keepWanted, mapOf, type Tensors } from './look.ts'
import type { Look, Reply, Request, Settings } from './messages.ts'
import { pictureOf, pixelsOf } from './picture.ts'
import { destroyDevice, watchedGpu } from './watchedGpu.ts'

/** Frames that the label stands for, and classes that are told. */
const AVERAGE = { frames: 8 }
const TOP = 8
/** Milliseconds between two looks inside while a video plays. */
const LOOK = 500
/** Milliseconds between two reports about what loads. */
const REPORT = 100

/** Where the model comes from; without a file it is the built-in one. */
interface Origin {
  readonly file: File | null
  readonly labels: readonly string[] | null
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Request>) => void
  postMessage(message: Reply, transfer?: Transferable[]): void
}
const say = (reply: Reply, transfer: Transferable[] = []): void =>
  scope.postMessage(reply, transfer)

let model: TRecViT | undefined
let stream: Stream | undefined
let settings: Settings | undefined
let origin: Origin = { file: null, labels: null }
let loading: AbortController | undefined

let source: { readonly file: Blob; readonly rate: number } | undefined
let video: Video | undefined
let frames: AsyncIterator<Frame> | undefined
let playing = false
/** Counts what has been played, so that each loop knows whether it is the one. */
let plays = 0
/** Seconds of the video. */
let now = 0
let overall: readonly Class[] = []
let shown = { device: '', backend: '' }

let look: Look | null = null
let looked = 0
/** Of the frame that was looked into last. */
let seen: Tensors | undefined

// ---- the model

/**
 * Loads with other settings, or another model. The stream of a model goes on with what it has seen;
 * with another model it begins anew.
 */
async function change(next: Settings, from: Origin): Promise<void> {
  const before = settings
  const same = from.file === origin.file
  if (
    model &&
    stream &&
    before &&
    from === origin &&
    next.device !== 'auto' &&
    String(Object.values({ ...before, device: 0 })) ===
      String(Object.values({ ...next, device: 0 }))
  ) {
    await stream.moveTo(next.device)
    settings = next
    return tellDevice()
  }
  const state = same ? await stream?.snapshot() : undefined
  const loaded = await load(next, from)
  let opened: Stream
  try {
    opened = state
      ? await loaded.resume(state, { topK: TOP })
      : loaded.stream({ average: AVERAGE, topK: TOP })
  } catch (error) {
    await loaded.dispose()
    throw error
  }
  await stream?.dispose()
  await model?.dispose()
  const first = model === undefined
  ;[model, stream, settings, origin, seen] = [loaded, opened, next, from, undefined]
  tellDevice()
  const {
    config: { imageSize, depth, width, numHeads, numClasses },
    labels,
  } = loaded
  say({
    type: 'model',
    name: from.file?.name ?? null,
    about:
      `${imageSize.join('×')} pixels, ${depth} layers of ${width} channels, ` +
      `${numClasses} classes${labels ? '' : ' without names'}`,
    layers: depth,
    heads: numHeads,
  })
  if (state) return
  look &&= {
    ...look,
    layer: Math.min(look.layer, depth - 1),
    head: look.head !== null && look.head < numHeads ? look.head : null,
  }
  for (const warning of loaded.warnings) say({ type: 'note', text: warning })
  if (first) return
  say({ type: 'cleared' })
  if (source) await open(source.file, source.rate)
}

async function load(
  { device, dtype, threads, deterministic }: Settings,
  { file, labels }: Origin,
): Promise<TRecViT> {
  const { signal } = (loading = new AbortController())
  const start = performance.now()
  let reported = start
  try {
    return await TRecViT.load(file ?? 'builtin', {
      device,
      deterministic,
      signal,
      ...(dtype && { dtype }),
      ...(threads && { threads }),
      ...(watchedGpu && { gpu: watchedGpu }),
      ...(labels && { labels }),
      onProgress: (done, total) => {
        if (!file || performance.now() - reported < REPORT) return
        reported = performance.now()
        say({
          type: 'loading',
          progress: {
            name: file.name,
            done,
            total,
            seconds: ((reported - start) / 1000) * (total / done - 1),
          },
        })
      },
    })
  } finally {
    loading = undefined
    say({ type: 'loading', progress: null })
  }
}

async function useModel(from: Origin, keeps: boolean): Promise<void> {
  await change(settings!, from)
  // Beside what plays on.
  if (keeps && from.file) void keep(from.file, from.labels).catch(tellError).then(tellKept)
}

async function recall(): Promise<void> {
  const found = await kept()
  if (!found)
    throw new Error('The model is no longer in the storage of this browser; open it again')
  await change(settings!, found)
}

async function tellKept(): Promise<void> {
  const found = await kept()
  say({ type: 'kept', kept: found && { name: found.file.name, bytes: found.file.size } })
}

function tellDevice(): void {
  const { device } = stream!
  shown = { device: JSON.stringify(device), backend: device.backend }
  say({ type: 'device', device, dtype: model!.dtype, canLose: device.backend === 'webgpu' })
}

// ---- the video

async function open(file: Blob, rate: number): Promise<void> {
  await closeVideo()
  source = { file, rate }
  video = await openVideo(file, { decoderUrl: new URL('decoder.wasm', location.href) })
  const { container, codec, width, height, duration, fps, decoder } = video.info
  frames = sample(video, rate ? { fps: rate } : {})[Symbol.asyncIterator]()
  await stream!.reset()
  seen = undefined
  say({ type: 'cleared' })
  say({
    type: 'opened',
    duration,
    fps,
    about: `${container}, ${codec}, ${width}×${height}; decoded by ${decoder}`,
  })
}

async function closeVideo(): Promise<void> {
  const closing = video
  video = frames = undefined
  await closing?.close()
}

/**
 * The next frame of the file, if there is one; before `from` seconds frames are computed but not
 * shown.
 */
async function step(from = 0): Promise<number | null> {
  if (!frames) return null
  const { done, value } = await frames.next()
  if (done) {
    setPlaying(false)
    if (stream!.frame > 0) say({ type: 'ended', overall, frames: stream!.frame })
    await closeVideo()
    return null
  }
  const shows = value.time >= from
  await push(value, value.time, shows ? await pictureOf(value) : null)
  return value.time
}

async function push(frame: FrameLike, time: number, bitmap: ImageBitmap | null): Promise<void> {
  const looks = look !== null && bitmap !== null && !(playing && performance.now() - looked < LOOK)
  const before = looks ? await stream!.snapshot() : undefined
  const start = performance.now()
  const answer: FrameAnswer = await stream!.push(frame)
  const milliseconds = performance.now() - start
  now = time
  overall = answer.overall.top
  if (JSON.stringify(stream!.device) !== shown.device) {
    if (shown.backend === 'webgpu')
      say({
        type: 'note',
        text:
          'The GPU was lost; the stream went on on ' +
          `${stream!.device.backend === 'wasm' ? 'the CPU' : 'a new device'}, ` +
          'and no frame is missing.',
      })
    tellDevice()
  }
  say(
    { type: 'answer', frame: answer.frame, time, top: answer.top, overall, milliseconds, bitmap },
    bitmap ? [bitmap] : [],
  )
  if (before) await lookInto(before, frame)
}

/** Frame after frame at the video's own pace, or as fast as it goes where that is slower. */
async function play(): Promise<void> {
  if (!frames && source) await inTurn(() => open(source!.file, source!.rate))
  if (playing || !frames) return
  const mine = ++plays
  setPlaying(true)
  let begun: { readonly at: number; readonly time: number } | undefined
  while (playing && mine === plays) {
    const time = await inTurn(() => step())
    if (time === null || time === undefined) return
    begun ??= { at: performance.now(), time }
    const wait = begun.at + 1000 * (time - begun.time) - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    // Too slow to catch up: the pace begins here.
    else begun = { at: performance.now(), time }
  }
}

async function seek(to: number): Promise<void> {
  const { file, rate } = source!
  await open(file, rate)
  // Frames are told apart by less than a millisecond nowhere.
  for (let at: number | null = -1; at !== null && at < to - 1e-3; ) at = await step(to - 1e-3)
}

async function live(bitmap: ImageBitmap, time: number): Promise<void> {
  await push(pixelsOf(bitmap), time, bitmap)
}

function setPlaying(next: boolean): void {
  if (playing === next) return
  playing = next
  say({ type: 'playing', playing })
}

// ---- a look inside

/** Runs the frame once more from the state before it, and keeps what was on the way. */
async function lookInto(before: Uint8Array, frame: FrameLike): Promise<void> {
  looked = performance.now()
  const twin = await model!.resume(before)
  try {
    seen = keepWanted(await twin.trace(frame))
  } finally {
    await twin.dispose()
  }
  await tellMap()
}

async function tellMap(): Promise<void> {
  if (!look || !seen) return
  const { config } = model!
  const { imageSize: size, patchSize } = config
  say({
    type: 'map',
    values: await mapOf(seen, config, origin.file, look),
    grid: [size[0] / patchSize[0], size[1] / patchSize[1]],
    size,
    view: look.view,
  })
}

async function changeLook(next: Look | null): Promise<void> {
  look = next
  if (seen || !next) await tellMap()
  // What the frame on the page went through has not been kept: the stream is computed anew up to
  // it.
  else if (!playing && source && stream!.frame > 0) await seek(now)
}

async function profile(): Promise<void> {
  const {
    config: {
      imageSize: [height, width],
    },
  } = model!
  const ops = new Map<string, number>()
  for (const { op, milliseconds } of await model!.profile({
    data: new Uint8Array(height * width * 3),
    shape: [1, height, width, 3],
  }))
    ops.set(op, (ops.get(op) ?? 0) + milliseconds)
  say({
    type: 'profile',
    ops: [...ops]
      .map(([op, milliseconds]) => ({ op, milliseconds }))
      .sort((one, other) => other.milliseconds - one.milliseconds),
  })
}

// ---- what the page asks for

let turn: Promise<unknown> = Promise.resolve()

/** Does the work after all that was asked for before; what goes wrong is told. */
function inTurn<T>(work: () => Promise<T>): Promise<T | undefined> {
  const result = turn.then(work).catch((error: unknown) => {
    setPlaying(false)
    if (error instanceof Error && error.name === 'AbortError')
      say({ type: 'note', text: 'Loading was stopped; the model that was there stays.' })
    else tellError(error)
    // What the settings say is what there is.
    if (model && stream) tellDevice()
    return undefined
  })
  turn = result
  return result
}

function tellError(error: unknown): void {
  if (!(error instanceof TrecvitError)) console.error(error)
  say({ type: 'error', text: error instanceof Error ? error.message : String(error) })
}

scope.onmessage = ({ data }) => {
  switch (data.type) {
    case 'settings':
      return void inTurn(() => change(data.settings, origin))
    case 'model':
      return void goOn(() => useModel(data, data.keep))
    case 'labels':
      return void inTurn(() => change(settings!, { ...origin, labels: data.labels }))
    case 'recall':
      return void goOn(recall)
    case 'forget':
      return void inTurn(async () => {
        await forget()
        await tellKept()
      })
    case 'cancel':
      return loading?.abort()
    case 'open':
      setPlaying(false)
      return void inTurn(() => open(data.file, data.rate)).then(play)
    case 'live':
      setPlaying(false)
      source = undefined
      return void inTurn(async () => {
        await closeVideo()
        await stream!.reset()
        say({ type: 'cleared' })
      })
    case 'picture':
      return void inTurn(() => live(data.bitmap, data.time))
    case 'play':
      return void play()
    case 'pause':
      return setPlaying(false)
    case 'step':
      setPlaying(false)
      return void inTurn(() => step())
    case 'reset':
      return void inTurn(async () => {
        await stream!.reset()
        say({ type: 'cleared' })
      })
    case 'seek':
      setPlaying(false)
      return void inTurn(() => seek(data.time))
    case 'look':
      return void inTurn(() => changeLook(data.look))
    case 'profile':
      return void inTurn(profile)
    case 'lose':
      return destroyDevice()
  }
}

/**
 * Changes the model, and goes on: with playing, or with the frame that was there, as the new model
 * sees it.
 */
async function goOn(work: () => Promise<void>): Promise<void> {
  const played = playing
  setPlaying(false)
  await inTurn(work)
  if (played) await play()
  else if (source && stream!.frame === 0) await inTurn(() => seek(now))
}

void inTurn(tellKept)
