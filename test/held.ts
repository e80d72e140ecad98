/** What this process holds: child processes, open files and its temporary files. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, vi } from 'vitest'

export interface Held {
  readonly children: readonly string[]
  readonly files: readonly string[]
  readonly temporary: readonly string[]
}

/** Counts them; outside Linux, only what Node tells. */
export function held(): Held {
  const children =
    process.platform === 'linux'
      ? readdirSync('/proc/self/task').flatMap((task) =>
          readFileSync(`/proc/self/task/${task}/children`, 'utf8')
            .split(' ')
            .filter((pid) => pid !== ''),
        )
      : process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap')
  const files = process.platform === 'linux' ? readdirSync('/proc/self/fd').flatMap(target) : []
  const temporary = readdirSync(tmpdir()).filter((name) => /^trecvit-.*\.(part|video)$/.test(name))
  return { children: children.sort(), files: files.sort(), temporary: temporary.sort() }
}

/** Files and pipes; sockets of HTTP stay open for the next request. */
function target(descriptor: string): string[] {
  try {
    const path = readlinkSync(`/proc/self/fd/${descriptor}`)
    return /^(socket|anon_inode|\/proc)/.test(path) ? [] : [path]
  } catch {
    return []
  }
}

/** Waits until no more is held than before. */
export async function expectReleased(before: Held): Promise<void> {
  await vi.waitFor(() => expect(held()).toEqual(before), { timeout: 10_000 })
}
