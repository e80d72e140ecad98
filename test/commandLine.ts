/** Runs the built command line and makes files for it: valid and damaged ones. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { type Config, configOf } from '../src/model/config.ts'
import { parametersOf } from '../src/model/weights.ts'
import { makeNpy, makeZip, npyHeader } from './checkpointFiles.ts'

const script = fileURLToPath(new URL('../dist/cli/index.js', import.meta.url))
if (!existsSync(script))
  throw new Error('dist/cli/index.js is missing: run "npm run build" before these tests')

/** Result of a run. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Temporary folder for the files of a test file, which removes it in the end. */
export const folder: string = mkdtempSync(join(tmpdir(), 'trecvit-cli-'))

/** Returns the path of a file in that folder. Writes `content`, if given. */
export function file(name: string, content?: Uint8Array | string): string {
  const path = join(folder, name)
  // The test file before, in the same process, has removed it.
  mkdirSync(folder, { recursive: true })
  if (content !== undefined) writeFileSync(path, content)
  return path
}

/** Starts `trecvit` without the caller's environment variables for colours and debugging. */
export function start(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  mkdirSync(folder, { recursive: true })
  const { NO_COLOR: _, FORCE_COLOR: __, TRECVIT_DEBUG: ___, ...env } = process.env
  return spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env: { ...env, TRECVIT_CACHE: join(folder, 'cache'), ...environment },
    stdio: 'pipe',
  })
}

/** Waits for the end of a process and returns its outcome. */
export function outcome(child: ChildProcess): Promise<Outcome> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  child.stdout!.on('data', (part: Buffer) => parts.stdout.push(part))
  child.stderr!.on('data', (part: Buffer) => parts.stderr.push(part))
  return new Promise((resolve) =>
    child.on('close', (code) =>
      resolve({
        code,
        stdout: Buffer.concat(parts.stdout).toString(),
        stderr: Buffer.concat(parts.stderr).toString(),
      }),
    ),
  )
}

/** Runs `trecvit` to its end. */
export function run(...args: string[]): Promise<Outcome> {
  return pipe(undefined, ...args)
}

/** Runs `trecvit` to its end with bytes on standard input. */
export function pipe(input: Uint8Array | undefined, ...args: string[]): Promise<Outcome> {
  const child = start(args)
  child.stdin!.on('error', () => {})
  child.stdin!.end(input)
  return outcome(child)
}

/** Returns the lines of a text that ends with a newline. */
export function lines(text: string): string[] {
  return text.split('\n').slice(0, -1)
}

/** Returns noise that depends on the seed. */
export function noise(count: number, seed = 1): Uint8Array {
  return Uint8Array.from(
    { length: count },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  )
}

/** Returns pictures of 20×20 for `raw`. */
export function rawFrames(count: number): Uint8Array {
  return noise(count * 20 * 20 * 3)
}

/** Returns arguments to stream these pictures from standard input. */
export function raw(...args: string[]): string[] {
  return ['stream', '-', '--raw', '20x20', '--json', ...args]
}

/** Returns a y4m video: 4:2:0, 10 frames/s. */
export function y4m(frames: number, width: number, height: number): Uint8Array {
  const size = width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2)
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 C420jpeg\n`)]
  for (let frame = 0; frame < frames; frame++)
    parts.push(Buffer.from('FRAME\n'), Buffer.from(noise(size, frame + 1)))
  return Buffer.concat(parts)
}

/** A model that is small enough to write in every test. */
export const tiny: Config = configOf('mu', {
  width: 8,
  depth: 1,
  mlpDim: 16,
  numHeads: 2,
  numClasses: 3,
  repSize: 4,
  lruWidth: 16,
  framesPerClip: 32,
  imageSize: [16, 16],
  patchSize: [8, 8],
})

/** A tensor of the tiny model as stored in a file. */
export interface Stored {
  readonly shape: readonly number[]
  readonly descr: string
  readonly fortran: boolean
  readonly contents: Uint8Array
}

/** Returns the tensors of the tiny model. */
export function tinyTensors(): Map<string, Stored> {
  let seed = 7
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5
  return new Map(
    parametersOf(tiny).map(({ name, shape }) => {
      const values = Float32Array.from(
        { length: shape.reduce((product, side) => product * side, 1) },
        next,
      )
      return [
        name,
        { shape, descr: '<f4', fortran: false, contents: new Uint8Array(values.buffer) },
      ]
    }),
  )
}

/** Returns an .npz of tensors. */
export function npzOf(tensors: ReadonlyMap<string, Stored>): Uint8Array {
  return makeZip(
    [...tensors].map(([name, { shape, descr, fortran, contents }]) => ({
      name: `${name}.npy`,
      contents: makeNpy(
        npyHeader(descr, `(${shape.map((side) => `${side},`).join('')})`, fortran),
        contents,
      ),
    })),
  )
}

/** Returns the .npz of the tiny model with one tensor changed, removed or added. */
export function tinyNpz(
  name?: string,
  change?: (tensor: Stored) => Stored | undefined,
): Uint8Array {
  const tensors = tinyTensors()
  if (name !== undefined) {
    const changed = change!(
      tensors.get(name) ?? {
        shape: [2],
        descr: '<f4',
        fortran: false,
        contents: new Uint8Array(8),
      },
    )
    if (changed) tensors.set(name, changed)
    else tensors.delete(name)
  }
  return npzOf(tensors)
}

/** Runs a command, asserts that there are no errors, and parses its JSON. */
export async function json(args: string[], input?: Uint8Array): Promise<Record<string, any>> {
  const { code, stdout, stderr } = await pipe(input, ...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(lines(stdout).length).toBe(1)
  return JSON.parse(stdout)
}

/** The built-in model, and the clip in the package. */
export const builtin: string = fileURLToPath(
  new URL('../models/motion.safetensors', import.meta.url),
)
export const tour: string = fileURLToPath(new URL('../models/tour.mp4', import.meta.url))
