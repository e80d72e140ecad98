/** Generates code that does the same as the page. */
import { type Origin, type Settings, WINDOW } from './messages.ts'

/** Source of frames. */
export type SourceKind = 'sample' | 'file' | 'camera' | 'screen'

/** State of the page. */
export interface Shown {
  readonly source: SourceKind
  readonly model: { readonly kind: Origin['kind']; readonly name: string | null }
  readonly settings: Settings
  /** Frames that are sampled per second; 0 means all. */
  readonly rate: number
}

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

export function codeOf({ source, model, settings, rate }: Shown): string {
  const isLive = source === 'camera' || source === 'screen'
  const options = [
    ...(settings.device === 'auto' ? [] : [`device: '${settings.device}'`]),
    ...(settings.dtype ? [`dtype: '${settings.dtype}'`] : []),
    ...(settings.threads ? [`threads: ${settings.threads}`] : []),
    ...(settings.deterministic ? ['deterministic: true'] : []),
  ]
  const from =
    model.kind === 'file'
      ? `new URL(${quoted(model.name!)}, location.href)`
      : quoted(model.kind === 'kinetics' ? 'k400' : 'builtin')
  const load = `TRecViT.load(${from}${options.length ? `, { ${options.join(', ')} }` : ''})`
  const lines = [
    `import { TRecViT } from 'trecvit'`,
    ...(isLive ? [] : [`import { openVideo, sample } from 'trecvit/video'`]),
    '',
    `const model = await ${load}`,
    `const stream = model.stream({ average: { frames: ${WINDOW} } })`,
    '',
    ...(isLive ? live(source) : video(source, rate)),
    `  if (frame + 1 < ${WINDOW}) continue // the average is not full yet`,
    '  console.log(top[0].label, top[0].prob)',
    '}',
  ]
  return `${lines.join('\n')}\n`
}

function video(source: SourceKind, rate: number): string[] {
  const frames = rate ? `sample(video, { fps: ${rate} })` : 'sample(video)'
  return [
    ...(source === 'sample'
      ? [`const video = await openVideo(new URL('lake.mp4', location.href))`]
      : [
          `const [file] = document.querySelector('input[type=file]').files`,
          'const video = await openVideo(file)',
        ]),
    `for await (const { frame, top } of stream.run(${frames})) {`,
  ]
}

function live(source: SourceKind): string[] {
  const method =
    source === 'camera' ? 'getUserMedia({ video: true })' : 'getDisplayMedia({ video: true })'
  return [
    `const video = document.createElement('video')`,
    `video.srcObject = await navigator.mediaDevices.${method}`,
    'await video.play()',
    'const { videoWidth: width, videoHeight: height } = video',
    `const picture = new OffscreenCanvas(width, height).getContext('2d')`,
    'for (;;) {',
    '  picture.drawImage(video, 0, 0)',
    '  const { frame, top } = await stream.push(picture.getImageData(0, 0, width, height))',
  ]
}
