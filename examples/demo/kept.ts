/** A model that the browser's storage keeps for the next visit. */

const MODEL = 'model'
const ABOUT = 'model.json'

interface About {
  readonly name: string
  readonly labels: readonly string[] | null
}

/** Copies a checkpoint into the storage. It replaces the one before. */
export async function keep(file: File, labels: readonly string[] | null): Promise<void> {
  await forget()
  const folder = await navigator.storage.getDirectory()
  try {
    await write(folder, MODEL, file)
    await write(
      folder,
      ABOUT,
      new Blob([JSON.stringify({ name: file.name, labels } satisfies About)]),
    )
  } catch (error) {
    await forget()
    throw new Error(
      `"${file.name}" cannot be kept in this browser (${(error as Error).message}); ` +
        'it is used, but not found again on the next visit',
      { cause: error },
    )
  }
}

/** Returns the checkpoint with the names of its classes, or null. */
export async function kept(): Promise<{
  readonly file: File
  readonly labels: readonly string[] | null
} | null> {
  try {
    const folder = await navigator.storage.getDirectory()
    // Written last, so it exists only if the copy is complete.
    const about = JSON.parse(await (await read(folder, ABOUT)).text()) as About
    return { file: new File([await read(folder, MODEL)], about.name), labels: about.labels }
  } catch {
    return null
  }
}

export async function forget(): Promise<void> {
  const folder = await navigator.storage.getDirectory()
  for (const name of [ABOUT, MODEL]) await folder.removeEntry(name).catch(() => {})
}

async function read(folder: FileSystemDirectoryHandle, name: string): Promise<File> {
  return (await folder.getFileHandle(name)).getFile()
}

async function write(
  folder: FileSystemDirectoryHandle,
  name: string,
  content: Blob,
): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true })
  await content.stream().pipeTo(await handle.createWritable())
}
