/**
 * trecvit serve: serves the demo page, and the model over HTTP and WebSockets.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { environment } from '../platform/platform.ts'
import {
  addConfigOptions,
  addDeviceOptions,
  integer,
  MODEL_HELP,
  type ModelOptions,
} from './options.ts'
import { needPackages } from './packages.ts'
import { action, report } from './run.ts'
import { announce } from './serve/announce.ts'
import type { Answered } from './serve/app.ts'
import { modelSource, type NamedSource, openModels } from './serve/models.ts'
import { addStateOptions, type StateOptions } from './serve/sequences/options.ts'
import { note, print } from './terminal.ts'

interface ServeOptions extends Omit<ModelOptions, 'model'>, StateOptions {
  readonly model?: readonly NamedSource[]
  readonly decoder: 'wasm' | 'ffmpeg'
  readonly accessLog?: boolean
  readonly port: number
  readonly host: string
  readonly maxBody: number
  readonly maxStreams: number
  readonly timeout: number
  readonly allowOrigin?: readonly string[]
  readonly allowHost?: readonly string[]
  readonly token?: string
}

/** Optional peer dependencies of the server. */
const PACKAGES = ['hono', '@hono/node-server', 'ws', 'piscina', 'prom-client'] as const

/** Timeout for decoding a frame, in milliseconds. It normally takes less than a second. */
const TASK_TIMEOUT = 30_000

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary('serve the page, and the model over HTTP')
    .description(
      'Serves the demo page, and models in the Open Inference Protocol v2: ' +
        'whole videos by POST, endless ones by WebSocket. ' +
        'It listens on this machine only, unless --host is given. ' +
        'Ctrl-C finishes open requests first; a second Ctrl-C ends it at once.',
    )
    .option('--port <n>', 'port, 0 for any that is free', integer(0, 65535), 8000)
    .option(
      '--host <address>',
      'address of this machine to listen on; 0.0.0.0 for all',
      '127.0.0.1',
    )
    .option(
      '--max-body <MB>',
      'largest body of a request, and message of a stream',
      integer(1, 500),
      32,
    )
    .option(
      '--max-streams <n>',
      'largest number of streams, and of concurrent requests; each needs memory',
      integer(1, 4096),
      16,
    )
    .option(
      '--timeout <s>',
      'timeout in seconds for the answer to a request, and for the next frame of a stream',
      integer(1, 86400),
      30,
    )
    .option(
      '--allow-origin <origin...>',
      'other origins whose pages may use it, like http://localhost:5173',
      origin,
    )
    .option(
      '--allow-host <name...>',
      'other host names of this server, like trecvit.example.com ' +
        'behind a proxy (default: loopback names and --host)',
      hostName,
    )
    .addOption(
      new Option(
        '--token <text>',
        'bearer token that requests to /v2 and /metrics need; ' +
          'other users of this machine can read arguments, so prefer the variable',
      )
        .env('TRECVIT_TOKEN')
        .argParser(bearerToken),
    )
    .addOption(
      new Option(
        '--decoder <name>',
        'decoder of videos that clients send; wasm: FFmpeg in WebAssembly, in a sandbox; ' +
          'ffmpeg: the installed program, which reads more formats',
      )
        .choices(['wasm', 'ffmpeg'])
        .default('wasm'),
    )
    .option('--access-log', 'write a line of JSON to standard output for every answer')
    .option(
      '-m, --model <[name=]source>',
      `${MODEL_HELP}; repeat it for several models (default: "builtin")`,
      modelSource,
    )
  addDeviceOptions(addConfigOptions(addStateOptions(command)))
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit serve
  $ trecvit serve --model trecvit_b.npz --device auto --max-streams 4
  $ trecvit serve --model builtin --model actions=trecvit_b.npz
  $ trecvit serve --host 0.0.0.0 --port 8080        # for everybody who can reach this machine
  $ curl --data-binary @clip.mp4 -H 'Content-Type: video/mp4' \\
      http://127.0.0.1:8000/v2/models/builtin/classify
  $ curl http://127.0.0.1:8000/v2/models/builtin
  $ curl http://127.0.0.1:8000/metrics              # counts and latencies, for Prometheus
  $ ffmpeg -i clip.mp4 -vf scale=96:96 -f rawvideo -pix_fmt rgb24 - |
      curl --data-binary @- -H 'Inference-Header-Content-Length: 0' \\
        http://127.0.0.1:8000/v2/models/builtin/infer`,
    )
    .action(action<ServeOptions>((_, options, signal) => serve(options, signal)))
}

function origin(text: string, before: readonly string[] = []): string[] {
  if (!URL.canParse(text) || new URL(text).origin !== text)
    throw new InvalidArgumentError('Expected an origin without a path, like https://example.com.')
  return [...before, text]
}

function hostName(text: string, before: readonly string[] = []): string[] {
  const name = text.toLowerCase()
  if (!/^[\w-]+(\.[\w-]+)*$/.test(name)) {
    throw new InvalidArgumentError(
      'Expected a host name without scheme and port, like example.com.',
    )
  }
  return [...before, name]
}

function bearerToken(text: string): string {
  if (!/^[\w.~+/-]+=*$/.test(text)) {
    throw new InvalidArgumentError('Expected letters, digits and any of -._~+/, as in RFC 6750.')
  }
  return text
}

async function serve(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const redis = options.state === undefined ? [] : ['ioredis']
  await needPackages('serve', [...PACKAGES, ...redis])
  const { computeWorker, manifest } = await import('../files.ts')
  const { model: sources = [{ name: 'builtin', source: 'builtin' }] } = options
  const models = await openModels(sources, options, signal, computeWorker)
  const { readFile } = await import('node:fs/promises')
  const { createApp } = await import('./serve/app.ts')
  const { listen } = await import('./serve/listen.ts')
  const { openPage } = await import('./serve/page.ts')
  const { openPool } = await import('./serve/pool.ts')
  const { openVideos } = await import('./serve/videos.ts')
  const { largestSnapshot } = await import('./serve/follow.ts')
  const { openSequences, SAVE_TIMEOUT } = await import('./serve/sequences/open.ts')
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
  const { host, port, token, maxStreams, decoder } = options
  const limits = { maxBody: options.maxBody * 1e6, timeout: options.timeout * 1000 }
  const onError = (error: unknown) => void report(error)
  // At most two tasks per slot: a frame of a stream, and a body or video of a request.
  const pool = openPool({ waiting: 2 * maxStreams, timeout: TASK_TIMEOUT }, onError)
  const videos = openVideos(maxStreams, decoder, onError)
  const sequences = await openSequences(options, maxStreams, onError)
  const app = createApp({
    models,
    version,
    ...limits,
    maxStreams,
    page: await openPage(),
    closing: signal,
    onError,
    address: host,
    hosts: options.allowHost ?? [],
    origins: options.allowOrigin ?? [],
    tasks: pool.tasks,
    waitingTasks: () => pool.waiting,
    videos,
    sequences,
    processMetrics: true,
    ...(token !== undefined && { token }),
    onAnswer: (answer) => log(answer, options),
  })
  const maxMessage = Math.max(limits.maxBody, ...[...models.values()].map(largestSnapshot))
  const { address, close } = await listen(app, {
    ...limits,
    maxBody: maxMessage,
    host,
    port,
    onError,
  })

  announce(options, sources, models, address)
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  await sequences.saveAll(SAVE_TIMEOUT)
  await close()
  await sequences.end(SAVE_TIMEOUT)
  await Promise.all([pool.end(), videos.end()])
}

function log(answer: Answered, { accessLog }: ServeOptions): void {
  const { method, path, status, milliseconds } = answer
  if (environment('TRECVIT_DEBUG'))
    note(`debug: ${method} ${path} ${status} ${milliseconds.toFixed(0)} ms`)
  if (!accessLog) return
  const rounded = Math.round(milliseconds * 1000) / 1000
  print(JSON.stringify({ time: new Date().toISOString(), ...answer, milliseconds: rounded }))
}
