/**
 * A thread that computes for `trecvit serve`. The event loop goes first: on a busy machine a thread
 * of the same priority keeps a request waiting for a whole time slice.
 */

import { setPriority } from 'node:os'
import { platform } from 'node:process'

const NICE = 10

// On Linux the priority belongs to the calling thread, elsewhere to the process.
if (platform === 'linux') {
  try {
    setPriority(0, NICE)
  } catch {
    // A sandbox may refuse it; then the server is only slower to answer on a busy machine.
  }
}
await import(new URL('../worker.js', import.meta.url).href)
