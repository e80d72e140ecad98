/**
 * Processes items in order, two at a time: the next item is fetched and its work begins while the
 * item before is computed. So a video is decoded and resized while its last frame is computed. Each
 * result is used as soon as it is available, even if the next item is late.
 * @param begin begins the work on an item
 * @param use takes the results in order
 * @throws the error of an item, its work or its use, after the work before it has ended
 */
export async function overlap<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  begin: (item: T) => Promise<R>,
  use: (result: R, item: T) => void | Promise<void>,
): Promise<void> {
  let used = Promise.resolve()
  try {
    for await (const item of items) {
      const result = begin(item)
      result.catch(() => {})
      const before = used
      used = before.then(async () => use(await result, item))
      used.catch(() => {})
      await before
    }
  } finally {
    await used.catch(() => {})
  }
  await used
}
