/**
 * Finds the weights of Kinetics-400: in the storage of this browser, on the server of this page
 * (trecvit serve), or at their host.
 */
import type { Offer } from './messages.ts'

/** Approximate size of the file in bytes. */
const SIZE = 547e6
/** Folder in which TRecViT.load('k400') stores them: pieces 0, 1, … and about.json. */
const FOLDER = 'trecvit-trecvit_B_k400.npz'

/** A file in a server's list: see docs/weights.md. */
interface Listed {
  readonly name: string
  readonly file: string
  readonly form: 'f32' | 'f16' | 'int8'
  readonly bytes: number
}

export async function findKinetics(): Promise<Offer> {
  const stored = await storedKinetics()
  if (stored) return { where: 'browser', bytes: stored.size, url: null }
  const listed = await listedKinetics()
  return listed ?? { where: 'host', bytes: SIZE, url: null }
}

/** Returns the file that is stored in this browser, or null if it is incomplete. */
export async function storedKinetics(): Promise<File | null> {
  try {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle(FOLDER)
    const file = async (name: string) => (await folder.getFileHandle(name)).getFile()
    const { complete } = JSON.parse(await (await file('about.json')).text())
    if (!complete) return null
    const pieces: File[] = []
    for (;;) {
      const piece = await file(String(pieces.length)).catch(() => null)
      if (!piece) return new File(pieces, 'trecvit_B_k400.npz')
      pieces.push(piece)
    }
  } catch {
    return null
  }
}

export async function removeKinetics(): Promise<void> {
  const root = await navigator.storage.getDirectory()
  await root.removeEntry(FOLDER, { recursive: true }).catch(() => {})
}

/** Returns the smallest file on the server of this page, or null. */
async function listedKinetics(): Promise<Offer | null> {
  try {
    const list = new URL('weights', location.href)
    const files = (await (await fetch(list)).json()) as Listed[]
    const [smallest] = files
      .filter(({ name }) => name === 'k400')
      .sort((one, other) => one.bytes - other.bytes)
    if (!smallest) return null
    const url = new URL(`weights/${smallest.file}`, location.href).href
    return { where: 'server', bytes: smallest.bytes, url }
  } catch {
    return null
  }
}
