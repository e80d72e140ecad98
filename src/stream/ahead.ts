/**
 * Prefetches one item: the next item is fetched while the caller works with this one. So a video is
 * decoded while the frame before is computed. Each item is passed on as soon as it arrives, so a
 * live source is not delayed.
 *
 * When the caller leaves early, the source is told to end, but a running fetch is not awaited: a
 * camera may never answer it.
 * @throws errors of the source, after the items before them
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
