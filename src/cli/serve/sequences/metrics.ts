/** Metrics of the streams with ids. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Counts } from './counts.ts'

/** The streams with ids of a server. */
export interface SequenceState {
  readonly open: number
  /** Whether states can be saved. */
  readonly isUp: boolean
  readonly counts: Counts
}

/** @param now returns the current state; called for every scrape */
export function addSequenceMetrics(registry: Registry, now: () => SequenceState): void {
  const registers = [registry]
  new Gauge({
    name: 'trecvit_state_store_up',
    help: 'Whether the states of streams can be saved: 1 or 0.',
    registers,
    collect() {
      this.set(now().isUp ? 1 : 0)
    },
  })
  new Gauge({
    name: 'trecvit_sequences',
    help: 'Streams with ids that are open.',
    registers,
    collect() {
      this.set(now().open)
    },
  })
  new Counter({
    name: 'trecvit_state_saves_total',
    help:
      'Saved states, by reason: cost (3 % of the time of a stream), bound (room of the client), ' +
      'request, shutdown.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(now().counts.saves)) this.inc({ reason }, count)
    },
  })
  const counters = {
    bytes: ['trecvit_state_saved_bytes_total', 'Bytes of saved states.'],
    seconds: ['trecvit_state_save_seconds_total', 'Time of all saves: snapshot and write.'],
    refusedWrites: [
      'trecvit_state_refused_writes_total',
      'Writes that were refused because the stream had gone on elsewhere.',
    ],
    failedWrites: ['trecvit_state_failed_writes_total', 'Writes that failed.'],
  } as const
  for (const [key, [name, help]] of Object.entries(counters))
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(now().counts[key as keyof typeof counters])
      },
    })
}
