/**
 * A compute thread of `trecvit serve`. It has a lower priority than the event loop: on a busy
 * machine a thread of equal priority would delay requests by a whole time slice.
 */

import { setPriority } from 'node:os'
import { platform } from 'node:process'

const NICE = 10

// On Linux the priority applies to the calling thread, elsewhere to the process.
if (platform === 'linux') {
  try {
    setPriority(0, NICE)
  } catch {
    // A sandbox may forbid it. Then responses are only slower on a busy machine.
  }
}
await import(new URL('../worker.js', import.meta.url).href)
