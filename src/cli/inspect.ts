/**
 * trecvit inspect: prints the structure and the cost of a model without reading its weights.
 */
import { type Command, Option } from 'commander'
import type { TensorInfo } from '../checkpoint/reader.ts'
import { type Config, configOf, hasClassHead, type Size, sizeNames } from '../model/config.ts'
import type { Description } from './describe.ts'
import { givenConfig } from './model.ts'
import { addConfigOptions, type ConfigOptions, integer } from './options.ts'
import { action } from './run.ts'
import { bytes, note, paint, print, table } from './terminal.ts'
import { localSource } from './weights.ts'

interface InspectOptions extends ConfigOptions {
  readonly size?: Size
  readonly chunk: number
  readonly tensors?: boolean
  readonly program?: boolean
}

/** Cost of a chunk of frames. */
interface Work {
  readonly gflopPerFrame: number
  /** Bytes, with weights in float32. */
  readonly memory: {
    readonly weights: number
    readonly activations: number
    readonly state: number
  }
  readonly listing: string
}

export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .argument(
      '[model]',
      'path or URL of a checkpoint, or a name: "builtin", "k400", "mae"',
      'builtin',
    )
    .summary('print structure, memory and work of a model')
    .description(
      'Prints configuration, parameters, labels, memory and work of a checkpoint or of an ' +
        'official size. Only names and shapes are read, so this is quick for large files and ' +
        'over HTTP.',
    )
    .addOption(
      new Option('--size <name>', 'an official size instead of a checkpoint').choices(sizeNames),
    )
    .option('--chunk <frames>', 'frames of a chunk, for memory and listing', integer(1), 1)
    .option('--tensors', 'list the tensors')
    .option('--program', 'list the steps of the program for a chunk of frames')
  addConfigOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit inspect
  $ trecvit inspect trecvit_b.npz --tensors
  $ trecvit inspect --size B --program`,
    )
    .action(action<InspectOptions>(([model], options, signal) => inspect(model!, options, signal)))
}

async function inspect(
  source: string,
  options: InspectOptions,
  signal: AbortSignal,
): Promise<void> {
  const { describeCheckpoint, labelsOf } = await import('./describe.ts')
  const found =
    options.size === undefined
      ? await describeCheckpoint(await localSource(source, options, signal), options, signal)
      : undefined
  try {
    const config = found?.config ?? configOf(options.size!, givenConfig(options))
    const labels = found ? found.labels : await labelsOf(config, options)
    const tensors = found
      ? [...found.checkpoint.tensors.values()]
      : (await parameters(config)).map((tensor) => ({ ...tensor, dtype: 'f32' as const }))
    const count = (await parameters(config)).reduce((sum, { shape }) => sum + product(shape), 0)
    const work = await workOf(config, options.chunk)
    if (!options.quiet) for (const warning of found?.warnings ?? []) note(`warning: ${warning}`)
    if (options.json) {
      const { listing, ...rest } = work
      print(
        JSON.stringify({
          source: options.size ?? source,
          format: found?.checkpoint.format ?? null,
          bytes: found?.checkpoint.size ?? null,
          parameters: count,
          dtypes: dtypesOf(tensors),
          config,
          inferred: found?.sources ?? null,
          labels,
          ignored: found?.ignored ?? [],
          chunk: options.chunk,
          ...rest,
          ...(options.tensors && { tensors }),
          ...(options.program && { program: listing.split('\n') }),
        }),
      )
    } else {
      print(paint('bold', options.size === undefined ? source : `TRecViT ${options.size}`))
      print(
        table(
          facts(config, count, tensors, work, options.chunk, labels, found).map(([name, value]) => [
            `  ${name}`,
            value!,
          ]),
        ),
      )
      if (options.tensors) {
        const rows = tensors.map(({ name, shape, dtype }) => [
          `  ${name}`,
          dtype,
          `[${shape.join(', ')}]`,
        ])
        print(`\n${table(rows)}`)
      }
      if (options.program) print(`\n${work.listing}`)
    }
  } finally {
    await found?.checkpoint.close()
  }
}

async function parameters(config: Config): Promise<{ name: string; shape: readonly number[] }[]> {
  const { parametersOf } = await import('../model/weights.ts')
  return parametersOf(config)
}

async function workOf(config: Config, t: number): Promise<Work> {
  const { recordModel } = await import('../model/graph.ts')
  const { flopsOf, listing } = await import('../program/listing.ts')
  const { plan } = await import('../program/plan.ts')
  const { weightsOf } = await import('../program/program.ts')
  const program = recordModel(config, { b: 1, t, pixels: 'u8', recent: 'all', encoded: false })
  const weights = new Set(program.steps.flatMap(weightsOf))
  return {
    gflopPerFrame: program.steps.reduce((sum, step) => sum + flopsOf(step), 0) / t / 1e9,
    memory: {
      weights: [...weights].reduce(
        (sum, { blocks, rows, columns }) => sum + 4 * blocks * rows * columns,
        0,
      ),
      activations: plan(program).bytes,
      state: program.states.reduce((sum, { shape }) => sum + 4 * product(shape), 0),
    },
    listing: listing(program),
  }
}

const product = (shape: readonly number[]): number => shape.reduce((size, side) => size * side, 1)

/** Counts values by number format. */
function dtypesOf(tensors: readonly TensorInfo[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { dtype, shape } of tensors) counts[dtype] = (counts[dtype] ?? 0) + product(shape)
  return counts
}

const origins = {
  option: 'as given',
  metadata: 'from the metadata of the file',
  shapes: 'from the shapes',
  default: 'the official value, because the file has none; --frames-per-clip changes it',
}

function facts(
  config: Config,
  count: number,
  tensors: readonly TensorInfo[],
  work: Work,
  chunk: number,
  labels: readonly string[] | null,
  found: Description | undefined,
): string[][] {
  const { imageSize, patchSize, poolType, posemb } = config
  const grid = imageSize.map((side, axis) => side / patchSize[axis]!)
  // Adds the origin of a value: option, metadata, tensor shapes or default.
  const from = (field: keyof Description['sources']) =>
    found ? `  (${origins[found.sources[field]]})` : ''
  const { weights, activations, state } = work.memory
  const dtypes = Object.entries(dtypesOf(tensors))
    .map(([dtype, size]) => `${dtype} ${size.toLocaleString('en')}`)
    .join(', ')
  const named = labels
    ? labels.slice(0, 12).join(', ') + (labels.length > 12 ? `, … (${labels.length})` : '')
    : 'none; --labels gives them'
  return [
    ...(found
      ? [
          [
            'file',
            `${found.checkpoint.format}, ${bytes(found.checkpoint.size)}, ` +
              `${tensors.length} tensors (${dtypes})`,
          ],
        ]
      : []),
    ['parameters', count.toLocaleString('en')],
    [
      'image',
      `${imageSize.join('×')} (height×width), ${grid.join('×')} patches of ` +
        `${patchSize.join('×')}${poolType === 'tok' ? ' + class token' : ''}, ` +
        `positions ${posemb === 'learn' ? 'learned' : 'fixed'}${from('imageSize')}`,
    ],
    [
      'encoder',
      `width ${config.width}, depth ${config.depth}, ${config.numHeads} heads, ` +
        `MLP ${config.mlpDim}, recurrence ${config.lruWidth}, ` +
        `${config.conv1dTemporalWidth} taps${config.useMlp ? ', MLP after the recurrence' : ''}`,
    ],
    [
      'head',
      hasClassHead(config)
        ? `${config.numClasses} classes on ${config.repSize} features, pooling ${poolType}`
        : 'none (features only)',
    ],
    ['clip', `${config.framesPerClip} frames${from('framesPerClip')}`],
    ...(hasClassHead(config) ? [['labels', named]] : []),
    ['work', `${work.gflopPerFrame.toFixed(work.gflopPerFrame < 1 ? 4 : 2)} GFLOP a frame`],
    [
      'memory',
      `weights ${bytes(weights)}, activations ${bytes(activations)} for ${chunk} ` +
        `${chunk === 1 ? 'frame' : 'frames'}, state of a stream ${bytes(state)}`,
    ],
  ]
}
