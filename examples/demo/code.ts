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
    `import { ${isLive ? opener(source) : 'openVideo, sample'} } from 'trecvit/video'`,
    '',
    `const model = await ${load}`,
    `const stream = model.stream({ average: { frames: ${WINDOW} } })`,
    '',
    ...(isLive ? live(source, rate) : video(source, rate)),
    '  if (partial) continue // the average is not full yet',
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
    `for await (const { top, partial } of stream.run(${frames})) {`,
  ]
}

const opener = (source: SourceKind): string => (source === 'camera' ? 'camera' : 'screenCapture')

function live(source: SourceKind, rate: number): string[] {
  const options = rate ? `{ video: { frameRate: ${rate} } }` : ''
  return [
    `const view = await ${opener(source)}(${options})`,
    'for await (const { top, partial } of stream.run(view)) {',
  ]
}
