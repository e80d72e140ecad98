/**
 * Parses the JSON header of a .safetensors file. Not with JSON.parse: it accepts repeated keys, and
 * a malicious text of 100 MB becomes gigabytes of objects.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

/** Largest number of tensors in a file. A model has hundreds. */
const MAX_TENSORS = 100_000
const MAX_DIMENSIONS = 64

/** An entry of the header, not checked yet. */
export interface HeaderEntry {
  readonly dtype: string
  readonly shape: readonly number[]
  /** Offsets of the first byte and of the end, relative to the end of the header. */
  readonly offsets: readonly [number, number]
}

/** The header. Names are in the order of the file. */
export interface Header {
  readonly tensors: ReadonlyMap<string, HeaderEntry>
  /** `__metadata__`, an object without prototype. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * @param file name for error messages, quoted
 * @throws TrecvitError if the text is not a header, or a key is repeated
 */
export function parseHeader(text: string, file: string): Header {
  const json = new Scanner(text, file)
  const tensors = new Map<string, HeaderEntry>()
  let metadata: Record<string, string> | undefined
  json.object((name) => {
    if (name === '__metadata__') {
      if (metadata !== undefined) json.fail('repeats "__metadata__"')
      metadata = Object.create(null) as Record<string, string>
      const strings = metadata
      json.object((key) => {
        if (key in strings) json.fail(`repeats the metadata key ${quote(key)}`)
        strings[key] = json.string()
      })
      return
    }
    if (tensors.has(name)) json.fail(`repeats tensor ${quote(name)}`)
    if (tensors.size === MAX_TENSORS) json.fail(`lists more than ${MAX_TENSORS} tensors`)
    tensors.set(name, parseEntry(json, name))
  })
  json.end()
  return { tensors, metadata: metadata ?? (Object.create(null) as Record<string, string>) }
}

function parseEntry(json: Scanner, name: string): HeaderEntry {
  let dtype: string | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  json.object((key) => {
    if (key === 'dtype' && dtype === undefined) dtype = json.string()
    else if (key === 'shape' && shape === undefined) shape = json.integers(MAX_DIMENSIONS)
    else if (key === 'data_offsets' && offsets === undefined) offsets = json.integers(2)
    else json.fail(`has an unknown or repeated key ${quote(key)} in tensor ${quote(name)}`)
  })
  if (dtype === undefined || shape === undefined || offsets?.length !== 2)
    json.fail(`lacks dtype, shape or data_offsets in tensor ${quote(name)}`)
  return { dtype, shape, offsets: [offsets[0]!, offsets[1]!] }
}

/** A JSON scanner. Each method reads a value of one type and fails at any other. */
class Scanner {
  readonly #text: string
  readonly #file: string
  #at = 0

  constructor(text: string, file: string) {
    this.#text = text
    this.#file = file
  }

  /** Reads an object. Calls `member` for each key, before its value is read. */
  object(member: (key: string) => void): void {
    this.#expect('{')
    if (this.#take('}')) return
    do {
      const key = this.string()
      this.#expect(':')
      member(key)
    } while (this.#take(','))
    this.#expect('}')
  }

  string(): string {
    this.#space()
    const start = this.#at
    this.#expect('"')
    for (;;) {
      const c = this.#text[this.#at++]
      if (c === undefined) this.fail('ends inside a string')
      if (c === '\\') this.#at++
      if (c === '"') break
    }
    try {
      return JSON.parse(this.#text.slice(start, this.#at)) as string
    } catch {
      return this.fail('holds a damaged string')
    }
  }

  /** Reads an array of at most `limit` integers from 0 to 2^53. */
  integers(limit: number): number[] {
    const numbers: number[] = []
    this.#expect('[')
    if (this.#take(']')) return numbers
    do {
      this.#space()
      const start = this.#at
      while (this.#text[this.#at]! >= '0' && this.#text[this.#at]! <= '9') this.#at++
      const digits = this.#text.slice(start, Math.min(this.#at, start + 20))
      if (!/^(0|[1-9]\d*)$/.test(digits) || !Number.isSafeInteger(Number(digits)))
        this.fail('holds something else where an integer was expected')
      if (numbers.push(Number(digits)) > limit)
        this.fail(`holds more than ${limit} numbers in one array`)
    } while (this.#take(','))
    this.#expect(']')
    return numbers
  }

  end(): void {
    this.#space()
    if (this.#at !== this.#text.length) this.fail('goes on after its end')
  }

  fail(fault: string): never {
    throw new TrecvitError(
      `The header of ${this.#file} ${fault} (character ${this.#at}): the file is damaged`,
    )
  }

  #space(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '-')) this.#at++
  }

  #take(c: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== c) return false
    this.#at++
    return true
  }

  #expect(c: string): void {
    if (!this.#take(c)) this.fail(`lacks a ${quote(c)}`)
  }
}
