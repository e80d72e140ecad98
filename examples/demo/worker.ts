/**
 * The engine: a model and a stream, in a worker, so that the page never waits. Everything happens in turn; what plays takes a turn for each frame.
 */
import { TRecViT, TrecvitError, type Class, type FrameAnswer, type LoadOptions, type Stream } from 'trecvit'
import { openVideo, sample, toPixels, type Frame, type Video } from 'trecvit/video'
import type { Reply, Request, Settings } from './messages.ts'

/** Frames that the label stands for, and classes that are told. */
const AVERAGE = { frames: 8 }
const TOP = 8
/** Pixels of the longer side of pictures on the page. */
const SHOWN = 640

const scope = globalThis as unknown as { onmessage: (event: MessageEvent<Request>) => void; postMessage(message: Reply, transfer?: Transferable[]): void }
const say = (reply: Reply, transfer: Transferable[] = []): void => scope.postMessage(reply, transfer)

let model: TRecViT | undefined
let stream: Stream | undefined
let settings: Settings | undefined
/** The device that the stream runs on, to be destroyed for show. */
let gpuDevice: GPUDevice | undefined

let source: { readonly file: Blob; readonly rate: number } | undefined
let video: Video | undefined
let frames: AsyncIterator<Frame> | undefined
let playing = false
/** Counts what has been played, so that each loop knows whether it is the one. */
let plays = 0
let overall: readonly Class[] = []
let shown = { device: '', backend: '' }

/** WebGPU as the browser has it, but for a look at the devices that it hands out. */
const gpu = 'gpu' in navigator && navigator.gpu ? watched(navigator.gpu) : undefined

function watched(entry: GPU): GPU {
  const bound = <T extends object>(of: T, key: PropertyKey): unknown => {
    const value = Reflect.get(of, key, of) as unknown
    return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(of) : value
  }
  const adapterOf = (adapter: GPUAdapter): GPUAdapter => new Proxy(adapter, {
    get: (of, key) => (key === 'requestDevice' ? async (descriptor?: GPUDeviceDescriptor) => (gpuDevice = await of.requestDevice(descriptor)) : bound(of, key)),
  })
  return new Proxy(entry, {
    get: (of, key) => (key !== 'requestAdapter' ? bound(of, key) : async (options?: GPURequestAdapterOptions) => {
      const adapter = await of.requestAdapter(options)
      return adapter && adapterOf(adapter)
    }),
  })
}

const optionsOf = ({ device, dtype, threads, deterministic }: Settings): LoadOptions => ({
  device, deterministic, ...(dtype && { dtype }), ...(threads && { threads }), ...(gpu && { gpu }),
})

/** Loads the model for the first time, or anew with other settings: the stream goes on with what it has seen. */
async function apply(next: Settings): Promise<void> {
  const before = settings
  settings = next
  if (model && stream && before && next.device !== 'auto' && String(Object.values({ ...before, device: 0 })) === String(Object.values({ ...next, device: 0 }))) {
    await stream.moveTo(next.device)
  } else {
    const state = await stream?.snapshot()
    const loaded = await TRecViT.load('builtin', optionsOf(next)).catch((error: unknown) => {
      settings = before
      throw error
    })
    const opened = state ? await loaded.resume(state, { topK: TOP }) : loaded.stream({ average: AVERAGE, topK: TOP })
    await stream?.dispose()
    await model?.dispose()
    model = loaded
    stream = opened
  }
  tellDevice()
}

function tellDevice(): void {
  const { device } = stream!
  shown = { device: JSON.stringify(device), backend: device.backend }
  say({ type: 'device', device, dtype: model!.dtype, canLose: device.backend === 'webgpu' })
}

async function open(file: Blob, rate: number): Promise<void> {
  await closeVideo()
  source = { file, rate }
  video = await openVideo(file, { decoderUrl: new URL('decoder.wasm', location.href) })
  const { container, codec, width, height, duration, fps, decoder } = video.info
  frames = sample(video, rate ? { fps: rate } : {})[Symbol.asyncIterator]()
  await stream!.reset()
  say({ type: 'cleared' })
  say({ type: 'opened', duration, fps, about: `${container}, ${codec}, ${width}×${height}; decoded by ${decoder}` })
}

async function closeVideo(): Promise<void> {
  const closing = video
  video = frames = undefined
  await closing?.close()
}

/** The next frame of the file, if there is one. */
async function step(show = true): Promise<number | null> {
  if (!frames) return null
  const { done, value } = await frames.next()
  if (done) {
    setPlaying(false)
    if (stream!.frame > 0) say({ type: 'ended', overall, frames: stream!.frame })
    await closeVideo()
    return null
  }
  await push(value, value.time, show ? await pictureOf(value) : null)
  return value.time
}

async function push(frame: Frame | ImageData, time: number, bitmap: ImageBitmap | null): Promise<void> {
  const start = performance.now()
  const answer: FrameAnswer = await stream!.push(frame)
  const milliseconds = performance.now() - start
  overall = answer.overall.top
  if (JSON.stringify(stream!.device) !== shown.device) {
    if (shown.backend === 'webgpu') say({ type: 'note', text: `The GPU was lost; the stream went on on ${stream!.device.backend === 'wasm' ? 'the CPU' : 'a new device'}, and no frame is missing.` })
    tellDevice()
  }
  say({ type: 'answer', frame: answer.frame, time, top: answer.top, overall, milliseconds, bitmap }, bitmap ? [bitmap] : [])
}

/** A frame for the eye, upright. */
async function pictureOf(frame: Frame): Promise<ImageBitmap> {
  const turned = frame.rotation === 90 || frame.rotation === 270
  const [full, high] = turned ? [frame.height, frame.width] : [frame.width, frame.height]
  const scale = Math.min(1, SHOWN / Math.max(full, high))
  const [width, height] = [Math.round(full * scale), Math.round(high * scale)]
  const rgb = toPixels(frame, { width, height })
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgba[to] = rgb[from]!
    rgba[to + 1] = rgb[from + 1]!
    rgba[to + 2] = rgb[from + 2]!
  }
  return createImageBitmap(new ImageData(rgba, width, height))
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

async function seek(time: number): Promise<void> {
  const { file, rate } = source!
  await open(file, rate)
  for (;;) {
    const at = await step(false)
    if (at === null || at >= time - 1e-3) return
  }
}

let canvas: OffscreenCanvas | undefined

async function live(bitmap: ImageBitmap, time: number): Promise<void> {
  const { width, height } = bitmap
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  context.drawImage(bitmap, 0, 0)
  await push(context.getImageData(0, 0, width, height), time, bitmap)
}

function setPlaying(now: boolean): void {
  if (playing === now) return
  playing = now
  say({ type: 'playing', playing })
}

let turn: Promise<unknown> = Promise.resolve()

/** Does the work after all that was asked for before; what goes wrong is told. */
function inTurn<T>(work: () => Promise<T>): Promise<T | undefined> {
  const result = turn.then(work).catch((error: unknown) => {
    setPlaying(false)
    if (!(error instanceof TrecvitError)) console.error(error)
    say({ type: 'error', text: error instanceof Error ? error.message : String(error) })
    // What the settings say is what there is.
    if (model && stream) tellDevice()
    return undefined
  })
  turn = result
  return result
}

scope.onmessage = ({ data }) => {
  switch (data.type) {
    case 'settings': return void inTurn(() => apply(data.settings))
    case 'open': setPlaying(false); return void inTurn(() => open(data.file, data.rate)).then(play)
    case 'live':
      setPlaying(false)
      source = undefined
      return void inTurn(async () => {
        await closeVideo()
        await stream!.reset()
        say({ type: 'cleared' })
      })
    case 'picture': return void inTurn(() => live(data.bitmap, data.time))
    case 'play': return void play()
    case 'pause': return setPlaying(false)
    case 'step': setPlaying(false); return void inTurn(() => step())
    case 'reset': return void inTurn(async () => {
      await stream!.reset()
      say({ type: 'cleared' })
    })
    case 'seek': setPlaying(false); return void inTurn(() => seek(data.time))
    case 'lose': return gpuDevice?.destroy()
  }
}
