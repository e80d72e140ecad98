/** Mutates a tree of parts and the written bytes. */
import { MAX_FILE } from './limits.ts'
import { concat, mutateBytes, mutateLeaf } from './mutateLeaf.ts'
import { bytes, copy, type Group, group, type Part, write } from './parts.ts'
import type { Random } from './random.ts'

/** Largest number of parts in a tree. Larger trees are not mutated further. */
const MAX_PARTS = 50_000
/** Largest number of groups, which may be nested. */
const MAX_GROUPS = 4000

/** Inputs of mutations for a format. */
export interface Source {
  /** Returns a tree of another file of this format. */
  readonly other: () => Group
  /** Returns elements that are nested to this depth. */
  readonly nest: ((random: Random, depth: number) => Uint8Array) | undefined
}

/** Changes a tree in place by one to five mutations. */
export function mutate(root: Group, random: Random, source: Source): void {
  for (let left = random.few(5); left > 0; left--) {
    const { leaves, groups } = partsOf(root)
    if (leaves.length > MAX_PARTS || groups.length > MAX_GROUPS) return
    const kind = random.below(10)
    if (kind < 6) {
      const leaf = random.pick(leaves)
      if (leaf) mutateLeaf(leaf.part, leaf.parent, random)
    } else mutateGroup(random.pick(groups), groups, random, source)
  }
}

interface Leaf {
  readonly part: Exclude<Part, Group>
  readonly parent: Group
}

function partsOf(root: Group): { leaves: Leaf[]; groups: Group[] } {
  const leaves: Leaf[] = []
  const groups: Group[] = []
  const walk = (parent: Group): void => {
    groups.push(parent)
    for (const part of parent.parts) {
      if (part.is === 'group') walk(part)
      else leaves.push({ part, parent })
    }
  }
  walk(root)
  return { leaves, groups }
}

function mutateGroup(
  parent: Group,
  groups: Group[],
  random: Random,
  { other, nest }: Source,
): void {
  const { parts } = parent
  const at = random.below(parts.length)
  const part = parts[at]
  switch (random.below(11)) {
    case 0:
      parts.splice(at, 1)
      break
    case 1:
      if (part) parts.splice(random.below(parts.length + 1), 0, copy(part))
      break
    case 2:
      if (part) parts.splice(random.below(parts.length), 0, ...parts.splice(at, 1))
      break
    case 3:
      parts.reverse()
      break
    case 4:
      if (part && !holds(part, parent)) random.pick(groups).parts.push(copy(part))
      break
    // Copies the group into itself.
    case 5:
      parts.splice(at, 0, copy(parent))
      break
    case 6:
    case 7: {
      const theirs = partsOf(other()).groups
      const alike = theirs.filter(({ name }) => name === parent.name)
      parts.splice(
        at,
        random.below(2),
        copy(random.pick(alike.length > 0 && !random.once(3) ? alike : theirs)),
      )
      break
    }
    case 8:
      if (part && random.once(4)) flood(parent, at, random)
      break
    case 9:
      if (nest && random.once(4)) parts.splice(at, 0, bytes(nest(random, random.few(1 << 16))))
      break
    default:
      parts.splice(at, 0, bytes(random.bytes(random.few(64))))
  }
}

function holds(part: Part, sought: Group): boolean {
  return (
    part === sought || (part.is === 'group' && part.parts.some((child) => holds(child, sought)))
  )
}

/** Repeats one part, up to the size of the largest file. */
function flood(parent: Group, at: number, random: Random): void {
  const part = parent.parts[at]!
  const size = write(group('', [copy(part)])).data.length
  const count = Math.min(random.few(1 << 15), Math.floor(MAX_FILE / (size + 1)))
  parent.parts.splice(at, 0, ...Array.from({ length: count }, () => copy(part)))
}

/** Damages written bytes. Checksums are not updated. */
export function damage(data: Uint8Array, random: Random, other: () => Uint8Array): Uint8Array {
  const at = random.below(data.length + 1)
  switch (random.below(5)) {
    case 0:
      return data.slice(0, at)
    case 1:
      return mutateBytes(data, random)
    case 2:
      return concat(data, random.bytes(random.few(1000)))
    case 3: {
      const second = other()
      return concat(data.subarray(0, at), second.subarray(random.below(second.length + 1)))
    }
    default: {
      const out = data.slice()
      for (let flips = random.few(100); flips > 0 && out.length > 0; flips--)
        out[random.below(out.length)]! ^= 1 << random.below(8)
      return out
    }
  }
}
