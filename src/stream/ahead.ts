/**
 * Reads one item ahead: the next item is fetched while the caller works with this one, so that a
 * video is decoded while the frame before is computed. Each item is handed over as soon as it is
 * there, so a live source loses no time.
 *
 * When the caller leaves early, the source is told to end, but a fetch that is under way is not
 * awaited: a camera may never answer it.
 * @throws what the source throws, after the items before it
 */
export async function* ahead<T>(
  items: AsyncIterable<T> | Iterable<T>,
): AsyncGenerator<T, void, undefined> {
  const source =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const fetch = async (): Promise<IteratorResult<T>> => source.next()
  let ended = false
  let next = fetch()
  try {
    for (;;) {
      const { done, value } = await next.catch((error: unknown) => {
        ended = true
        throw error
      })
      if (done) {
        ended = true
        return
      }
      next = fetch()
      next.catch(() => {})
      yield value
    }
  } finally {
    if (!ended) void Promise.resolve(source.return?.()).catch(() => {})
  }
}
