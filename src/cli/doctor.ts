/**
 * trecvit doctor: checks the parts of this machine and gives advice for those that do not work.
 */
import type { Command } from 'commander'
import { messageOf, TrecvitError } from '../base/error.ts'
import { availableThreads } from '../platform/worker.ts'
import { action, type GlobalOptions } from './run.ts'
import { bytes, paint, print, table } from './terminal.ts'

/** Result of one check. */
interface Finding {
  readonly name: string
  /** `missing`: optional and not available. `broken`: required, but does not work. */
  readonly state: 'ok' | 'missing' | 'broken'
  readonly detail: string
}

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check what works on this machine')
    .description(
      'Checks the runtime, WebAssembly, WebGPU, video decoders and the built-in model, whose ' +
        'answers are bit-identical on every machine. ' +
        'Exits with 1 if something required is broken.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit doctor
  $ trecvit doctor --json`,
    )
    .action(action<GlobalOptions>((_, options, signal) => doctor(options, signal)))
}

async function doctor({ json }: GlobalOptions, signal: AbortSignal): Promise<void> {
  const machine = await describeMachine()
  const findings = [...(await wasm()), await model(), await gpu(), ...(await decoders(signal))]
  const healthy = findings.every(({ state }) => state !== 'broken')
  if (json) print(JSON.stringify({ healthy, ...machine, findings }))
  else {
    const marks = {
      ok: paint('green', '✓'),
      missing: paint('yellow', '–'),
      broken: paint('red', '✗'),
    }
    print(
      `trecvit ${machine.version} on ${machine.runtime}, ${machine.platform}\n${machine.cpu}, ` +
        `${bytes(machine.memory)} memory\n`,
    )
    print(
      table(findings.map(({ name, detail }) => [name, detail]))
        .split('\n')
        .map((line, row) => `  ${marks[findings[row]!.state]} ${line}`)
        .join('\n'),
    )
    if (healthy) print('\nEverything that is required works.')
  }
  if (!healthy)
    throw new TrecvitError(
      `This does not work here: ${findings
        .filter(({ state }) => state === 'broken')
        .map(({ name }) => name)
        .join(', ')}`,
    )
}

async function describeMachine(): Promise<{
  version: string
  runtime: string
  platform: string
  cpu: string
  memory: number
}> {
  const os = await import('node:os')
  const { readFile } = await import('node:fs/promises')
  const { manifest } = await import('../files.ts')
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
  const runtime = (['bun', 'deno', 'node'] as const).find(
    (name) => process.versions[name] !== undefined,
  )!
  const cpus = os.cpus()
  return {
    version,
    runtime: `${runtime} ${process.versions[runtime]}`,
    platform: `${process.platform} ${process.arch}`,
    cpu: `${cpus.length} × ${cpus[0]?.model ?? 'unknown processor'}`,
    memory: os.totalmem(),
  }
}

async function wasm(): Promise<Finding[]> {
  const { wasmFeatures } = await import('./wasmFeatures.ts')
  const { simd, relaxedSimd, threads } = wasmFeatures()
  const detail = simd
    ? 'the kernels run'
    : 'the kernels cannot run; use a newer runtime, like Node 20 or later'
  return [
    { name: 'WebAssembly SIMD', state: simd ? 'ok' : 'broken', detail },
    await relaxed(relaxedSimd),
    {
      name: 'WebAssembly threads',
      ...(threads
        ? { state: 'ok', detail: `${availableThreads()} at once` }
        : { state: 'missing', detail: 'not supported by this runtime; one thread computes' }),
    },
  ]
}

/** Checks whether the relaxed SIMD kernels are used. They are faster but round sums differently. */
async function relaxed(known: boolean): Promise<Finding> {
  const name = 'WebAssembly relaxed SIMD'
  if (!known)
    return {
      name,
      state: 'missing',
      detail: 'not supported by this runtime; the deterministic kernels are used instead',
    }
  const { TRecViT } = await import('../model/trecvit.ts')
  await using model = await TRecViT.load('builtin', { device: 'wasm', threads: 1 })
  const { kernels, reason } = model.device
  if (kernels !== 'simd') return { name, state: 'ok', detail: 'used unless "deterministic" is set' }
  return {
    name,
    state: 'missing',
    detail: `not used: ${reason ?? 'this runtime does not fuse multiplication and addition'}`,
  }
}

async function model(): Promise<Finding> {
  const { expectedHash, runBuiltin } = await import('./selfTest.ts')
  const name = 'built-in model'
  try {
    const { hash, framesPerSecond } = await runBuiltin()
    if (hash === expectedHash)
      return {
        name,
        state: 'ok',
        detail: `${framesPerSecond.toFixed(0)} frames/s; its answers are bit-exact`,
      }
    return {
      name,
      state: 'broken',
      detail:
        `its answers differ from those of other machines (${hash.slice(0, 16)} instead of ` +
        `${expectedHash.slice(0, 16)}); please report this with your runtime and processor`,
    }
  } catch (error) {
    if (!(error instanceof TrecvitError)) throw error
    return { name, state: 'broken', detail: `${error.message}; install the package again` }
  }
}

/** Runs the built-in model on the GPU and compares it with the CPU. */
async function gpu(): Promise<Finding> {
  const { framesOf, logitsOf } = await import('./selfTest.ts')
  const { TRecViT } = await import('../model/trecvit.ts')
  const name = 'WebGPU'
  try {
    await using model = await TRecViT.load('builtin', { device: 'webgpu' })
    await using cpu = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
    const { logits, framesPerSecond } = await logitsOf(model, framesOf(model))
    const want = (await logitsOf(cpu, framesOf(cpu))).logits
    const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error =
      want.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i]!)), 0) / largest
    const { vendor, architecture, features, limits, toggles } = model.device.gpu!
    const facts = [
      model.device.kernels,
      [vendor, architecture].filter(Boolean).join(' '),
      `features: ${features.join(', ') || 'none'}`,
      `largest binding: ${bytes(limits.maxStorageBufferBindingSize)}`,
      ...(toggles ? [`toggles: ${toggles.join(', ')}`] : []),
      `${framesPerSecond.toFixed(0)} frames/s, ${error.toExponential(1)} of the largest logit ` +
        'off the CPU',
    ].filter(Boolean)
    return { name, state: 'ok', detail: facts.join('; ') }
  } catch (error) {
    if (!(error instanceof TrecvitError)) throw error
    return { name, state: 'missing', detail: error.message }
  }
}

/** Decodes the clip of the package with each decoder. One working decoder is enough. */
export async function decoders(signal: AbortSignal): Promise<Finding[]> {
  const { sampleClip } = await import('../files.ts')
  const { openVideo } = await import('../video/index.ts')
  const findings: Finding[] = []
  for (const [decoder, name, advice] of [
    ['native', 'decoder node-webcodecs', 'npm install node-webcodecs'],
    [
      'ffmpeg',
      'decoder ffmpeg',
      'install ffmpeg, for example with apt-get install ffmpeg or brew install ffmpeg',
    ],
    ['wasm', 'decoder FFmpeg in WebAssembly', 'in a clone, npm run build:decoder makes it'],
  ] as const) {
    try {
      const video = await openVideo(sampleClip, { decoder, signal })
      const start = performance.now()
      let frames = 0
      for await (const _ of video) frames++
      findings.push({
        name,
        state: 'ok',
        detail:
          `${(frames / ((performance.now() - start) / 1000)).toFixed(0)} frames/s at ` +
          `${video.info.width}×${video.info.height}`,
      })
    } catch (error) {
      if (!(error instanceof TrecvitError)) throw error
      // The message of the video advises on all decoders, that of the decoder tells its fault.
      const reason = error.cause instanceof AggregateError ? error.cause.errors[0] : error
      findings.push({ name, state: 'missing', detail: `${messageOf(reason)}; ${advice}` })
    }
  }
  if (findings.some(({ state }) => state === 'ok')) return findings
  return findings.map((finding) => ({ ...finding, state: 'broken' }))
}
