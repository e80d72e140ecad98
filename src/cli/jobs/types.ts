/** What an archive in Redis holds. */

/** What a worker gets. */
export interface JobData {
  /** Path or URL. */
  readonly video: string
  /** Hash of the settings. */
  readonly settings: string
  /** The part of the video that the job covers, in seconds; all of it by default. */
  readonly part?: readonly [from: number, to: number]
  /** File to write features to. */
  readonly output?: string
}

/** A video and its job. */
export interface Entry {
  readonly id: string
  readonly video: string
  /** Its class, for the task evaluate. */
  readonly class?: string
  readonly part?: readonly [from: number, to: number]
}

/** Number of jobs by state. */
export interface Counts {
  readonly waiting: number
  readonly active: number
  /** Failed jobs that wait for their next attempt. */
  readonly retrying: number
  readonly failed: number
  readonly done: number
}

/** A job that has failed for the last time. */
export interface Failed {
  readonly id: string
  readonly video: string
  readonly error: string
}

/** Where the archive is. */
export interface ArchiveOptions {
  readonly queue: string
  readonly name: string
}

/** Orders videos by name, and the parts of a video by time. */
export function byVideo(
  one: Pick<Entry, 'video' | 'part'>,
  other: Pick<Entry, 'video' | 'part'>,
): number {
  if (one.video !== other.video) return one.video < other.video ? -1 : 1
  return (one.part?.[0] ?? 0) - (other.part?.[0] ?? 0)
}
