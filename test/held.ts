/** Resources of this process: child processes, open files and temporary files. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, vi } from 'vitest'

export interface Held {
  readonly children: readonly string[]
  readonly files: readonly string[]
  readonly temporary: readonly string[]
}

/** Counts the resources. Outside Linux only those that Node reports. */
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

/** Names files and pipes. HTTP sockets are ignored: they stay open for the next request. */
function target(descriptor: string): string[] {
  try {
    const path = readlinkSync(`/proc/self/fd/${descriptor}`)
    return /^(socket|anon_inode|\/proc)/.test(path) ? [] : [path]
  } catch {
    return []
  }
}

/** Waits until the process has no more resources than before. */
export async function expectReleased(before: Held): Promise<void> {
  await vi.waitFor(() => expect(held()).toEqual(before), { timeout: 10_000 })
}
