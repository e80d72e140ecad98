/** Reads lists of videos: text files with a line for each. */
import { open } from 'node:fs/promises'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

const EXTENSIONS =
  'mp4 m4v mov qt 3gp 3g2 f4v mkv webm y4m avi divx ts mts m2t m2ts mpg mpe mpeg m1v m2v vob flv ' +
  'gif wmv asf ogv'

/** Names of video files. */
export const VIDEO: RegExp = new RegExp(`\\.(${EXTENSIONS.replaceAll(' ', '|')})$`, 'i')

/**
 * Returns the lines of a text file, without spaces around them.
 * @param expected what to give instead, for the message
 * @throws TrecvitError if the file cannot be read, is a video, or is not text
 */
export async function readLines(path: string, expected: string): Promise<string[]> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new TrecvitError(`${quote(path)} ${reason}; give ${expected}`, { cause })
  }
  const chunks: Buffer[] = []
  try {
    const file = await open(path)
    for await (const chunk of file.createReadStream() as AsyncIterable<Buffer>) {
      if (VIDEO.test(path)) refuse('is a video, not a list of videos')
      // Text has no zero bytes. A file of another kind may be too large for memory.
      if (chunk.includes(0)) refuse('is not a text file')
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof TrecvitError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    refuse(`cannot be read (${code ?? message})`, error)
  }
  return linesOf(Buffer.concat(chunks).toString())
}

/** Returns the lines of a text, without spaces around them. */
export function linesOf(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim())
}
