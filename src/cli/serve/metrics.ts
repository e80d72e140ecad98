/**
 * Metrics of the server for Prometheus. Names and units follow its conventions.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Device } from '../../backend/backend.ts'
import { addSequenceMetrics, type SequenceState } from './sequences/metrics.ts'

/** Upper bounds of latency buckets in seconds: from a frame of a small model to a long video. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Current state of a server. */
export interface Snapshot {
  readonly models: readonly {
    readonly name: string
    /** Device of new streams. */
    readonly device: Device
    /** Number of devices and threads lost since the model was loaded. */
    readonly losses: number
  }[]
  readonly streams: number
  /** Length of each queue. */
  readonly queues: Readonly<Record<string, number>>
  /** Streams with ids. */
  readonly sequences: SequenceState
}

/** Metrics of one server, in its own registry. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Counter<'method' | 'route' | 'status'>
  readonly #seconds: Histogram<'route'>
  readonly #frames: Counter<'kind' | 'model'>
  readonly #frameSeconds: Histogram

  /**
   * @param now returns the current state; called for every scrape
   * @param ofProcess whether to measure the process: event loop, memory, files. Only once per
   * process
   */
  constructor(now: () => Snapshot, ofProcess: boolean) {
    const registers = [this.#registry]
    if (ofProcess) collectDefaultMetrics({ register: this.#registry })
    this.#requests = new Counter({
      name: 'trecvit_http_requests_total',
      help: 'Answers by method, route and status.',
      labelNames: ['method', 'route', 'status'],
      registers,
    })
    this.#seconds = new Histogram({
      name: 'trecvit_http_request_duration_seconds',
      help: 'Time from a request to its answer.',
      labelNames: ['route'],
      buckets: BUCKETS,
      registers,
    })
    this.#frames = new Counter({
      name: 'trecvit_frames_total',
      help: 'Frames answered, by kind (infer or stream) and model.',
      labelNames: ['kind', 'model'],
      registers,
    })
    this.#frameSeconds = new Histogram({
      name: 'trecvit_stream_frame_duration_seconds',
      help: 'Time from the moment a frame of a stream is taken to its answer.',
      buckets: BUCKETS,
      registers,
    })
    new Counter({
      name: 'trecvit_device_losses_total',
      help: 'Devices and threads that were lost.',
      labelNames: ['model'],
      registers,
      collect() {
        this.reset()
        for (const { name: model, losses } of now().models) this.inc({ model }, losses)
      },
    })
    new Gauge({
      name: 'trecvit_streams',
      help: 'Streams that are open.',
      registers,
      collect() {
        this.set(now().streams)
      },
    })
    new Gauge({
      name: 'trecvit_queue_depth',
      help: 'Work that waits, by queue.',
      labelNames: ['queue'],
      registers,
      collect() {
        for (const [queue, depth] of Object.entries(now().queues)) this.set({ queue }, depth)
      },
    })
    addSequenceMetrics(this.#registry, () => now().sequences)
    new Gauge({
      name: 'trecvit_device_info',
      help: 'The device that new streams run on; always 1.',
      labelNames: ['model', 'backend', 'kernels', 'threads'],
      registers,
      collect() {
        this.reset()
        for (const { name: model, device } of now().models) {
          const { backend, kernels, threads } = device
          this.set({ model, backend, kernels, threads: String(threads) }, 1)
        }
      },
    })
  }

  /** Counts a response. */
  request(method: string, route: string, status: number, seconds: number): void {
    this.#requests.inc({ method, route, status: String(status) })
    this.#seconds.observe({ route }, seconds)
  }

  /** Counts the frames of a request. */
  inferred(model: string, frames: number): void {
    this.#frames.inc({ kind: 'infer', model }, frames)
  }

  /** Counts a frame of a stream. */
  streamed(model: string, seconds: number): void {
    this.#frames.inc({ kind: 'stream', model })
    this.#frameSeconds.observe(seconds)
  }

  /** Returns all metrics in the text format of Prometheus, and its media type. */
  async text(): Promise<{ text: string; type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }
}
