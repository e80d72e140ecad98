/** Mutates numbers, bytes, text and JSON. */
import { mutateJson } from './mutateJson.ts'
import { type Group, type Num, type Part, type Text, text } from './parts.ts'
import type { Random } from './random.ts'

/** Changes a part that is not a group. */
export function mutateLeaf(part: Exclude<Part, Group>, parent: Group, random: Random): void {
  // As text it can have errors that JSON.stringify never writes: repeated keys, trailing commas.
  if (part.is === 'json' && random.once(3)) {
    const written = text(JSON.stringify(part.value) ?? '')
    parent.parts[parent.parts.indexOf(part)] = written
    part = written
  }
  if (part.is === 'number') part.value = boundary(part, parent, random)
  else if (part.is === 'bytes') part.data = mutateBytes(part.data, random)
  else if (part.is === 'text') part.text = mutateText(part, random)
  else part.value = mutateJson(part.value, random)
}

/** Sides of pictures at and near the limits. */
const SIDES = [1000, 4096, 8192, 16384, 16385, 65500]

/** Returns a value at which comparisons, sums or products may fail. */
function boundary({ width, order, value }: Num, parent: Group, random: Random): Num['value'] {
  const most = 2n ** BigInt(order === 'vint' ? 7 * width : 8 * width) - 1n
  const near = (by: number): Num['value'] =>
    typeof value === 'function'
      ? (places) => value(places, parent) + by
      : BigInt(value) + BigInt(by)
  return random.pick<() => Num['value']>([
    () => BigInt(random.below(4)),
    () => most - BigInt(random.below(3)),
    () => most / 2n + BigInt(random.below(3)) - 1n,
    () => 2n ** BigInt(random.below(8 * width)),
    () => near(random.pick([-1, 1, -4, 4, -8, 8, 16, 1000])),
    () => BigInt(random.few(2 ** 31)),
    () => BigInt(random.next()),
    () => BigInt(random.pick(SIDES)),
    () => (places) => places.size(parent) + random.pick([-1, 0, 1, 8]),
    () => (places) => places.offset(parent),
  ])()
}

/** Returns a copy of the bytes with one change. */
export function mutateBytes(data: Uint8Array, random: Random): Uint8Array {
  const at = random.below(data.length + 1)
  const count = Math.min(random.few(64), data.length - at)
  const out = data.slice()
  switch (random.below(8)) {
    case 0:
      return data.slice(0, at)
    case 1:
      return concat(data.subarray(0, at), random.bytes(random.few(256)), data.subarray(at))
    case 2:
      return out.fill(random.pick([0, 255, 128, 127, 1]), at, at + count)
    case 3:
      out.set(random.bytes(count), at)
      return out
    case 4:
      return concat(data.subarray(0, at), data.subarray(at + count))
    case 5:
      out.copyWithin(at, random.below(data.length + 1), data.length)
      return out
    default:
      if (at < out.length) out[at]! ^= 1 << random.below(8)
      return out
  }
}

const NUMBERS = [
  '0',
  '1',
  '-1',
  '1000',
  '4096',
  '16384',
  '00',
  '1e9',
  '0.5',
  '-0',
  'NaN',
  'Infinity',
  '65535',
  '65536',
  '2147483648',
  '4294967295',
  '9007199254740993',
  '99999999999999999999',
  '0x10',
  '1_000',
]
const WORDS = [
  '',
  ' ',
  '\n',
  '\0',
  '"',
  "'",
  '\\',
  '{',
  '}',
  '(',
  ')',
  '[',
  ',',
  ':',
  '\u{1f600}',
  'é',
  '\x1b[31m',
  '\u202e',
  'True',
  'None',
  '=',
]

function mutateText({ text }: Text, random: Random): string {
  let words = text.split(/(\d+|[a-zA-Z_]+|[^\w])/).filter((word) => word !== '')
  const numbers = words.flatMap((word, at) => (/^\d/.test(word) ? [at] : []))
  const at =
    numbers.length > 0 && random.once(2) ? random.pick(numbers) : random.below(words.length + 1)
  const fresh = random.once(2) ? random.pick(NUMBERS) : random.pick(WORDS)
  switch (random.below(7)) {
    case 0:
      words.splice(at, 1)
      break
    case 1:
      words.splice(at, 0, fresh)
      break
    case 2:
      words = [...words.slice(0, at), ...words.slice(random.below(words.length + 1))]
      break
    case 3:
      words.splice(
        at,
        0,
        random.pick([' ', 'x', '0', '(', '[', '{"a":', '1,', '\n']).repeat(random.few(1 << 17)),
      )
      break
    case 4:
      return text.slice(0, random.below(text.length + 1))
    default:
      words[at] = fresh
  }
  return words.join('')
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
