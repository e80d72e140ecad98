/** Files of result rows. The rows of a video are appended when it is done. */
import type { FileHandle } from 'node:fs/promises'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { csvLine, parseCsv, parseJsonLines, type Row } from './csv.ts'
import { OutputError, writeOutput } from './output.ts'
import { print } from './terminal.ts'
import { keyOf } from './videos.ts'

/** Options of the commands that write rows. */
export interface RowOptions {
  readonly jsonl?: string
  readonly csv?: string
  readonly continue?: boolean
}

type Kind = 'jsonl' | 'csv'

/** One file of rows. "-" is standard output. */
class RowFile {
  readonly #path: string
  readonly #kind: Kind
  readonly #columns: readonly string[]
  #file: FileHandle | undefined
  /** Keys of the videos in the file whose rows have no error. */
  #done = new Set<string>()

  constructor(path: string, kind: Kind, columns: readonly string[]) {
    this.#path = path
    this.#kind = kind
    this.#columns = columns
  }

  /** Opens the file: empty, or with the rows of completed videos. */
  async open(keep: boolean, signal: AbortSignal): Promise<void> {
    const rows = keep ? await this.#read() : []
    const header = this.#kind === 'csv' ? `${csvLine(this.#columns)}\n` : ''
    if (this.#path === '-') return void (header && print(header.trimEnd()))
    const text = header + rows.map((row) => this.#line(row)).join('')
    await writeOutput(this.#path, { replace: true, signal }, (output) =>
      output.write(new TextEncoder().encode(text)),
    )
    const { open } = await import('node:fs/promises')
    this.#file = await open(this.#path, 'a')
  }

  has(video: string): boolean {
    return this.#done.has(keyOf(video))
  }

  /** Writes all rows of a video with one call, so that an interruption leaves no part of them. */
  async write(rows: readonly Row[]): Promise<void> {
    const text = rows.map((row) => this.#line(row)).join('')
    if (this.#path === '-') return print(text.trimEnd())
    await this.#file!.appendFile(text).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code ?? error.message
      throw new OutputError(`${quote(this.#path)} cannot be written (${reason})`, { cause: error })
    })
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }

  #line(row: Row): string {
    if (this.#kind === 'jsonl') return `${JSON.stringify(row)}\n`
    return `${csvLine(this.#columns.map((column) => row[column]))}\n`
  }

  /** Reads the rows of completed videos. Skips the rows of videos with an error. */
  async #read(): Promise<Row[]> {
    const { readFile } = await import('node:fs/promises')
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw new TrecvitError(`${quote(this.#path)} cannot be read (${error.code})`, {
        cause: error,
      })
    })
    const rows = this.#kind === 'csv' ? parseCsv(text) : parseJsonLines(text)
    if (text !== '' && rows.some((row) => typeof row['video'] !== 'string')) {
      throw new TrecvitError(
        `${quote(this.#path)} has rows without a "video"; "--continue" expected a file that ` +
          'this command has written',
      )
    }
    const videoOf = (row: Row): string => keyOf(row['video'] as string)
    const failed = new Set(rows.flatMap((row) => (row['error'] ? [videoOf(row)] : [])))
    // An interrupted write may have left only some rows of the last video.
    if (text !== '' && !text.endsWith('\n') && rows.length) failed.add(videoOf(rows.at(-1)!))
    const kept = rows.filter((row) => !failed.has(videoOf(row)))
    this.#done = new Set(kept.map(videoOf))
    return kept
  }
}

/** All row files of a command. */
export class Rows {
  readonly #files: readonly RowFile[]

  private constructor(files: readonly RowFile[]) {
    this.#files = files
  }

  /**
   * Opens --jsonl and --csv.
   * @param columns columns of the CSV
   * @throws TrecvitError if both are standard output, or if one cannot be read or written
   */
  static async open(
    { jsonl, csv, continue: keep = false }: RowOptions,
    columns: readonly string[],
    signal: AbortSignal,
  ): Promise<Rows> {
    if (jsonl === '-' && csv === '-')
      throw new TrecvitError('"--jsonl" and "--csv" cannot both be "-"')
    const files = [
      ...(jsonl === undefined ? [] : [new RowFile(jsonl, 'jsonl', columns)]),
      ...(csv === undefined ? [] : [new RowFile(csv, 'csv', columns)]),
    ]
    for (const file of files) await file.open(keep, signal)
    return new Rows(files)
  }

  /** Whether there are no files. */
  get isEmpty(): boolean {
    return this.#files.length === 0
  }

  /** Whether all files contain the rows of a video. */
  has(video: string): boolean {
    return this.#files.every((file) => file.has(video))
  }

  /** Writes the rows of a video to the files that do not contain them. */
  async write(video: string, rows: readonly Row[]): Promise<void> {
    for (const file of this.#files) if (!file.has(video)) await file.write(rows)
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}
