/** Mutates a JSON value. */
import { MAX_FILE } from './limits.ts'
import type { Random } from './random.ts'

const SCALARS: readonly unknown[] = [
  0,
  1,
  -1,
  0.5,
  -0,
  1e-320,
  1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 - 1,
  255,
  256,
  null,
  true,
  false,
  '',
  'x',
  '\0',
  '\n',
  '\ud800',
  '\u202e',
  '\x1b[2J',
  'x'.repeat(5000),
  'NaN',
  '__proto__',
  [],
  {},
  [[]],
  [null],
  { length: 1e9 },
  { toString: 1 },
  { valueOf: null },
]
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  '',
  'x',
  'shape',
  'data',
  'name',
  '__metadata__',
  '\n',
  'x'.repeat(2000),
]

/** Returns a copy of the value with one change. */
export function mutateJson(value: unknown, random: Random): unknown {
  const nested = value !== null && typeof value === 'object' && Object.keys(value).length > 0
  if (nested && !random.once(6)) return mutateInside(value, random)
  switch (random.below(12)) {
    case 0:
      return nest(random.few(300), random.once(2))
    case 1:
      return Array.from({ length: random.few(1 << 16) }, () => 0)
    case 2:
      return Array.from({ length: Math.min(random.few(64), room(value)) }, () => value)
    case 3:
      return Object.fromEntries(
        Array.from({ length: Math.min(random.few(5000), room(value)) }, (_, i) => [`k${i}`, value]),
      )
    case 4:
      return typeof value === 'number' ? value + random.pick([-1, 1, 0.5]) : JSON.stringify(value)
    case 5:
      return typeof value === 'number' ? value * random.pick([-1, 2, 1e6, 1e300]) : [value]
    default:
      return structuredClone(random.pick(SCALARS))
  }
}

/** Returns how many copies of a value fit into the largest file. */
function room(value: unknown): number {
  return Math.ceil(MAX_FILE / (JSON.stringify(value).length + 1))
}

function mutateInside(value: object, random: Random): unknown {
  if (Array.isArray(value)) {
    const at = random.below(value.length)
    switch (random.below(6)) {
      case 0:
        return value.toSpliced(at, 1)
      case 1:
        return value.toSpliced(at, 0, value[at])
      case 2:
        return value.toReversed()
      default:
        return value.with(at, mutateJson(value[at], random))
    }
  }
  const entries = Object.entries(value)
  const at = random.below(entries.length)
  const [key, inner] = entries[at]!
  switch (random.below(7)) {
    case 0:
      entries.splice(at, 1)
      break
    case 1:
      entries.push([random.pick(KEYS), random.pick([inner, 1, {}])])
      break
    case 2:
      entries[at] = [random.pick(KEYS), inner]
      break
    default:
      entries[at] = [key, mutateJson(inner, random)]
  }
  return Object.fromEntries(entries)
}

function nest(depth: number, list: boolean): unknown {
  let value: unknown = 0
  for (let i = 0; i < depth; i++) value = list ? [value] : { a: value }
  return value
}
