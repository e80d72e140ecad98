/**
 * Options that several commands share, and the parsers of their values.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { GlobalOptions } from './run.ts'
import type { DownloadOptions } from './weights.ts'

/** Options for what a checkpoint may not contain. */
export interface ConfigOptions extends DownloadOptions {
  readonly labels?: string
  readonly imageSize?: [height: number, width: number]
  readonly framesPerClip?: number
}

/** Options for the model and its device. */
export interface ModelOptions extends ConfigOptions {
  readonly model: string
  readonly device: 'auto' | 'webgpu' | 'wasm'
  readonly dtype?: 'f32' | 'f16' | 'int8'
  readonly threads?: number
  readonly deterministic?: boolean
  readonly experimentalRevectorize?: boolean
}

/** Options for reading a video. */
export interface VideoOptions extends GlobalOptions {
  readonly fps?: number
  readonly stride?: number
  readonly frames?: number
  readonly decoder: 'auto' | 'native' | 'ffmpeg' | 'wasm'
  readonly onError: 'error' | 'stop' | 'skip'
  readonly pixelAspect: 'ignore' | 'apply'
  readonly raw?: [width: number, height: number]
  readonly rate?: number
}

/** Evaluation on Kinetics-400 as in the paper: 4 × 3 views, every second frame at 25 frames/s. */
export const PAPER = { clips: 4, views: 3, stride: 2, fps: 25 } as const

/** Returns a parser of integers from `least` to `most`. */
export function integer(
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least)
      throw new InvalidArgumentError(`Expected an integer, at least ${least}.`)
    if (value > most) throw new InvalidArgumentError(`Expected an integer, at most ${most}.`)
    return value
  }
}

/** Parses a number above 0. */
export function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Expected a number above 0.')
  return value
}

/** Parses a size with the height first, like shapes. */
export function heightByWidth(text: string): [height: number, width: number] {
  const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text)
  if (!match) throw new InvalidArgumentError('Expected HEIGHTxWIDTH in pixels, like 224x224.')
  return [Number(match[1]), Number(match[2])]
}

function widthByHeight(text: string): [width: number, height: number] {
  const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text)
  if (!match) throw new InvalidArgumentError('Expected WIDTHxHEIGHT in pixels, like 320x240.')
  return [Number(match[1]), Number(match[2])]
}

/** Adds --labels, --image-size and --frames-per-clip: a checkpoint may not contain these. */
export function addConfigOptions(command: Command): Command {
  return command
    .option('--labels <file>', 'file with the names of the classes, one per line')
    .option(
      '--image-size <HxW>',
      "height and width of the model's input, if the checkpoint does not tell",
      heightByWidth,
    )
    .option(
      '--frames-per-clip <n>',
      'frames of a clip, if the checkpoint does not contain it',
      integer(1),
    )
    .option('-y, --yes', 'download weights that have a name without asking')
}

/** Values of --model, for the help. */
export const MODEL_HELP: string =
  'path or URL of an .npz or .safetensors checkpoint, or a name: "builtin", ' +
  '"k400" (Kinetics-400), "mae" (features)'

/** Adds --model and the options for it. */
export function addModelOptions(command: Command): Command {
  return addDeviceOptions(
    addConfigOptions(command.option('-m, --model <source>', MODEL_HELP, 'builtin')),
  )
}

/** Adds --device, --dtype, --threads, --deterministic and --experimental-revectorize. */
export function addDeviceOptions(command: Command): Command {
  return addFormatOptions(addMachineOptions(command))
}

/** Adds --device, --threads and --experimental-revectorize. */
export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--device <name>',
        'wasm: the CPU; webgpu: a GPU; auto: a hardware GPU if there is one, else the CPU',
      )
        .choices(['auto', 'webgpu', 'wasm'])
        .default('wasm'),
    )
    .option(
      '--threads <n>',
      'threads on the CPU, 1 to 64 (default: the number of cores, at most 8)',
      integer(1, 64),
    )
    .option(
      '--experimental-revectorize',
      'let V8 merge pairs of SIMD operations (Node 24 and later); up to twice as fast',
    )
}

/** Adds --dtype and --deterministic. */
export function addFormatOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--dtype <name>',
        'number format of the matrices; f16 rounds them, and halves the memory of a GPU; ' +
          'int8 is faster on the CPU (default: the format of the file)',
      ).choices(['f32', 'f16', 'int8']),
    )
    .option(
      '--deterministic',
      'use only CPU kernels with bit-identical answers in every runtime; a little slower',
    )
}

/** Adds --list, --jsonl, --csv, --continue and --jobs, for commands that accept many videos. */
export function addManyOptions(command: Command): Command {
  return command
    .option('--list <file>', 'a text file with more videos, one per line; "-" for standard input')
    .option(
      '--jsonl <file>',
      'a line of JSON for each video as it is finished; "-" for standard output',
    )
    .option('--csv <file>', 'the same as CSV')
    .option('--continue', 'keep the rows of these files, and skip their videos')
    .option('--jobs <n>', 'videos at a time', integer(1, 64), 2)
}

/** Adds --fps, --stride, --frames, --decoder, --on-error, --pixel-aspect, --raw and --rate. */
export function addVideoOptions(command: Command): Command {
  return command
    .option('--fps <n>', 'frames per second to use (default: every frame)', positive)
    .option('--stride <n>', 'use every n-th frame', integer(1))
    .option('--frames <n>', 'largest number of frames', integer(1))
    .addOption(
      new Option(
        '--decoder <name>',
        'decoder: native is node-webcodecs, wasm is FFmpeg in WebAssembly, ' +
          'auto the fastest available one',
      )
        .choices(['auto', 'native', 'ffmpeg', 'wasm'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--on-error <action>',
        'at damage: error; stop, which ends the frames; skip, which continues after it',
      )
        .choices(['error', 'stop', 'skip'])
        .default('error'),
    )
    .addOption(
      new Option('--pixel-aspect <action>', 'non-square pixels: ignore them, or apply the aspect')
        .choices(['ignore', 'apply'])
        .default('ignore'),
    )
    .option(
      '--raw <WxH>',
      'the input is raw rgb24 pictures of this width and height',
      widthByHeight,
    )
    .option(
      '--rate <n>',
      'frame rate of raw pictures and picture sequences (default: 25)',
      positive,
    )
}
