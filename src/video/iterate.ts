/**
 * Returns an iterator that calls `next` for each value, one call at a time.
 * @param next returns the next value; null at the end
 * @param close called once: at the end, after an error, or when the caller leaves the loop
 */
export function iterate<T>(
  next: () => Promise<T | null>,
  close: () => Promise<void>,
): AsyncIterableIterator<T, undefined> {
  const done = { value: undefined, done: true } as const
  let isOver = false
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <R>(work: () => Promise<R>): Promise<R> => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
  const end = async (): Promise<void> => {
    if (isOver) return
    isOver = true
    await close()
  }
  const step = async (): Promise<IteratorResult<T, undefined>> => {
    if (isOver) return done
    try {
      const value = await next()
      if (value !== null) return { value, done: false }
    } catch (error) {
      await end()
      throw error
    }
    await end()
    return done
  }
  return {
    next: () => inTurn(step),
    return: () => inTurn(() => end().then(() => done)),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
