/**
 * trecvit features: the encoded tokens of every frame, as a NumPy file.
 */
import { type Command, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { encodeNpy, encodeNpz } from '../checkpoint/npy.ts'
import { type Config, tokensOf } from '../model/config.ts'
import { type InputVideo, openInput } from './input.ts'
import { debugTimes, openModel } from './model.ts'
import {
  addModelOptions,
  addVideoOptions,
  type ModelOptions,
  type VideoOptions,
} from './options.ts'
import { type Output, writeOutput } from './output.ts'
import { showProgress } from './progress.ts'
import { action } from './run.ts'
import { print } from './terminal.ts'

interface FeaturesOptions extends ModelOptions, VideoOptions {
  readonly output: string
  readonly pool?: 'tok' | 'gap'
}

export function addFeatures(program: Command): void {
  const command = program
    .command('features')
    .argument('<video>', 'path, URL, or "-" for y4m or raw pictures on standard input')
    .summary('write the encoded tokens of a video')
    .description(
      'Writes the encoded tokens after the last norm, float32 [frames, tokens, width], ' +
        'with the state carried from frame to frame.',
    )
    .requiredOption(
      '-o, --output <file>',
      'out.npy, or out.npz with the arrays "features" and "time" (seconds)',
    )
    .addOption(
      new Option(
        '--pool <how>',
        'one vector a frame: the class token (tok), or the mean over the patches (gap)',
      ).choices(['tok', 'gap']),
    )
  addVideoOptions(addModelOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit features clip.mp4 -o clip.npy
  $ trecvit features clip.mp4 -o clip.npz --pool gap --fps 5 --model trecvit_mae.npz`,
    )
    .action(
      action<FeaturesOptions>(([video], options, signal) => features(video!, options, signal)),
    )
}

async function features(
  source: string,
  options: FeaturesOptions,
  signal: AbortSignal,
): Promise<void> {
  const kind = /\.np[yz]$/.exec(options.output)?.[0]
  if (!kind)
    throw new TrecvitError(
      `"--output" expected a name that ends in .npy or .npz, got "${options.output}"`,
    )
  const model = await openModel(options, signal)
  const { config } = model
  if (options.pool === 'tok' && config.poolType !== 'tok')
    throw new TrecvitError(
      '"--pool tok" expected a model with a class token, this one has none; use "--pool gap"',
    )
  const video = await openInput(source, options, signal)
  const rowShape = options.pool ? [config.width] : [tokensOf(config), config.width]
  try {
    const rows = tokensOfFrames(video)
    let count = 0
    await writeOutput(options.output, { replace: true, signal }, async (output) => {
      count = await (kind === '.npy' ? writeNpy : writeNpz)(output, rows, rowShape)
      signal.throwIfAborted()
      if (!count) throw new TrecvitError('The video has no frames')
    })
    const shape = [count, ...rowShape]
    const broken = video.broken()
    if (options.json) {
      print(
        JSON.stringify({
          output: options.output,
          dtype: 'float32',
          shape,
          model: options.model,
          config,
          video: { source, ...video.info },
          ...(broken && { error: broken.message }),
        }),
      )
    } else if (!options.quiet) print(`${options.output}: float32 [${shape.join(', ')}]`)
    if (broken) throw broken
  } finally {
    await video.close()
  }
  await debugTimes(model, options)

  async function* tokensOfFrames({ frames, expected }: InputVideo): AsyncGenerator<Row> {
    const { toInput } = await import('../stream/input.ts')
    const { sessionsOf } = await import('../model/sessions.ts')
    const session = sessionsOf(model).open({ b: 1, recent: 'all', encoded: true })
    const progress = await showProgress(options, 'Encoding', 'frames', expected)
    try {
      for await (const frame of frames) {
        const { first, outputs } = await session.advance(toInput(frame, 1, config.imageSize), 1)
        yield { values: pool(outputs['encoded']!, options.pool, config), time: frame.time }
        progress.update(first + 1)
      }
    } finally {
      progress.stop()
      await session.dispose()
    }
  }
}

interface Row {
  readonly values: Float32Array
  readonly time: number
}

/** [n, d] → [d]; the mean leaves the class token out. */
function pool(
  tokens: Float32Array,
  how: 'tok' | 'gap' | undefined,
  { width, poolType }: Config,
): Float32Array {
  if (!how) return tokens
  if (how === 'tok') return tokens.subarray(0, width)
  const first = poolType === 'tok' ? width : 0
  return Float32Array.from({ length: width }, (_, column) => {
    let sum = 0
    for (let i = first + column; i < tokens.length; i += width) sum += tokens[i]!
    return sum / ((tokens.length - first) / width)
  })
}

/**
 * Straight to the file, however long the video is; the header, which says how many frames there
 * are, is written again at the end.
 */
async function writeNpy(
  output: Output,
  rows: AsyncIterable<Row>,
  rowShape: readonly number[],
): Promise<number> {
  let header = encodeNpy(new Float32Array(0), [0, ...rowShape])
  await output.write(header)
  let count = 0
  for await (const { values } of rows) {
    await output.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    count++
  }
  // The digits of the count take the place of padding, of which such a header always has enough.
  const text = new TextDecoder('latin1').decode(header.subarray(10)).replace('(0,', `(${count},`)
  header = Uint8Array.from([
    ...header.subarray(0, 10),
    ...new TextEncoder().encode(`${text.trimEnd().padEnd(header.length - 11)}\n`),
  ])
  await output.write(header, 0)
  return count
}

/** A zip wants the checksum before the data, so all of it is held. */
async function writeNpz(
  output: Output,
  rows: AsyncIterable<Row>,
  rowShape: readonly number[],
): Promise<number> {
  const all: Row[] = []
  for await (const { values, time } of rows) all.push({ values: values.slice(), time })
  const size = rowShape.reduce((product, side) => product * side, 1)
  const features = new Float32Array(all.length * size)
  all.forEach(({ values }, index) => features.set(values, index * size))
  await output.write(
    encodeNpz([
      ['features', { data: features, shape: [all.length, ...rowShape] }],
      ['time', { data: Float32Array.from(all, ({ time }) => time), shape: [all.length] }],
    ]),
  )
  return all.length
}
