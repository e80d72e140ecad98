/** The same bytes as different sources: in memory, a Blob, a stream or a file. */
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VideoSource } from '../../src/video/choices.ts'
import type { Random } from './random.ts'

const folder = mkdtempSync(join(tmpdir(), 'trecvit-fuzz-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** @param kinds kinds of source that the parser supports */
export async function sourceOf(
  data: Uint8Array,
  random: Random,
  kinds: 'files' | 'all' | 'streams' = 'all',
): Promise<VideoSource> {
  if (kinds === 'streams') return streamOf(data, random)
  const kind = random.below(kinds === 'all' ? 8 : 6)
  if (kind === 5) {
    const path = join(folder, 'Input')
    await writeFile(path, data)
    return path
  }
  if (kind === 4) return new Blob([data.slice()])
  if (kind > 5) return streamOf(data, random)
  return data
}

/** Returns a stream in pieces of random sizes. */
function streamOf(data: Uint8Array, random: Random): ReadableStream<Uint8Array> {
  const piece = random.once(2) ? random.few(1 << 16) + Math.floor(data.length / 1000) : data.length
  let at = 0
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= data.length) return controller.close()
        controller.enqueue(data.slice(at, at + piece))
        at += piece
      },
    },
    { highWaterMark: 0 },
  )
}
