/**
 * The worker of the page, with a model and a stream, so the page never blocks. All work is queued;
 * a playing video runs until other work is.
 */
import { Engine } from './engine.ts'
import { estimate } from './estimate.ts'
import { Insight } from './insight.ts'
import { forget, keep, kept } from './kept.ts'
import type { Origin, Request, Settings } from './messages.ts'
import { findKinetics, removeKinetics } from './offer.ts'
import { openAtFirst } from './opened.ts'
import { Player } from './player.ts'
import { inTurn, post, postError, postErrors, queue, scope, sentenceOf } from './turns.ts'
import { destroyDevice } from './watchedGpu.ts'

const BUILTIN: Origin = { kind: 'builtin', labels: null }

const engine = new Engine()
const insight = new Insight(engine)
const player = new Player(engine, insight)

/**
 * Loads with other settings, or another model, while the current one runs. If that fails, the
 * current one stays.
 */
async function change(settings: Settings, origin: Origin): Promise<void> {
  try {
    if (engine.canMove(settings, origin)) {
      const { device } = settings
      if (device !== 'auto') await queue(() => engine.move({ ...settings, device }))
      return
    }
    const loaded = await engine.load(settings, origin)
    await queue(async () => {
      if (!(await engine.adopt(loaded))) await player.beginAnew()
    })
  } catch (error) {
    post({ type: 'settings', settings: engine.settings })
    throw error
  }
}

/** Loads the first model, with the settings of a link if they are possible here. */
async function begin(settings: Settings): Promise<void> {
  const loaded = await engine.load(settings, BUILTIN).catch(async (error) => {
    postError(error)
    const plain: Settings = { device: 'auto', dtype: '', threads: 0, deterministic: false }
    post({ type: 'settings', settings: plain })
    return engine.load(plain, BUILTIN)
  })
  await engine.adopt(loaded)
}

async function useModel(origin: Origin, keeps: boolean): Promise<void> {
  try {
    await change(engine.settings, origin)
  } catch (error) {
    if (origin.kind === 'kinetics' && (error as Error).name !== 'AbortError')
      return post({ type: 'refused', text: sentenceOf(error) })
    throw error
  }
  // Stores the file while playback continues.
  if (keeps && origin.kind === 'file')
    void postErrors(keep(origin.file, origin.labels)).then(postKept)
}

async function recall(): Promise<void> {
  const found = await kept()
  if (!found)
    throw new Error('The model is no longer in the storage of this browser; open it again')
  await change(engine.settings, { kind: 'file', ...found })
}

async function postKept(): Promise<void> {
  const found = await kept()
  post({ type: 'kept', kept: found && { name: found.file.name, bytes: found.file.size } })
}

async function offerKinetics(): Promise<void> {
  post({ type: 'offer', offer: await findKinetics() })
  const { device, threads, deterministic, dtype } = engine.settings
  const rate = await estimate({
    device,
    deterministic,
    ...(dtype && { dtype }),
    ...(threads && { threads }),
  }).catch(() => null)
  post({ type: 'estimate', rate })
}

/** Whether a video plays once it is open: not if it was paused meanwhile. */
let autoplay = true

/** The latest change of the model. The next one waits for it. */
let changing: Promise<unknown> = Promise.resolve()

function afterChange(work: () => Promise<void>): void {
  changing = postErrors(changing.then(work))
}

scope.onmessage = ({ data }: MessageEvent<Request>) => {
  switch (data.type) {
    case 'settings':
      if (!engine.isReady) {
        void postKept()
        return void (changing = inTurn(() => begin(data.settings)))
      }
      return afterChange(() => change(data.settings, engine.origin))
    case 'model':
      return afterChange(() => useModel(data.origin, data.keep))
    case 'labels':
      return afterChange(() => change(engine.settings, { ...engine.origin, labels: data.labels }))
    case 'recall':
      return afterChange(recall)
    case 'forget':
      return void postErrors(forget().then(postKept))
    case 'cancel':
      return engine.cancel()
    case 'offer':
      return void postErrors(offerKinetics())
    case 'remove':
      return void postErrors(removeKinetics().then(offerKinetics))
    case 'open': {
      // While the first model loads, the first frame is decoded.
      const opening = openAtFirst(data)
      opening.catch(() => {}) // Thrown where it is awaited.
      autoplay = true
      return void inTurn(async () => {
        await player.open(data, opening)
        if (autoplay) void player.play()
        else await player.step()
      })
    }
    case 'live':
      return void inTurn(() => player.openLive())
    case 'frame':
      return void inTurn(() => player.pushLive(data.frame))
    case 'play':
      autoplay = true
      return void player.play()
    case 'pause':
      autoplay = false
      return player.pause()
    case 'step':
      autoplay = false
      player.pause()
      return void inTurn(() => player.step())
    case 'reset':
      return void inTurn(() => player.reset())
    case 'seek':
      return void postErrors(player.seek(data.time))
    case 'look':
      return void inTurn(async () => {
        if (await insight.change(data.look)) await player.showAgain()
      })
    case 'profile':
      return void inTurn(() => insight.profile())
    case 'lose':
      return destroyDevice()
  }
}
