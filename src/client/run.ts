/** Answers that may wait for the caller of `answersOf`. */
const WAITING = 32

/**
 * Pushes the frames of a source, and yields their answers in order, each as soon as it is there.
 * @param push resolves when there is room and the frame was pushed, with the promise of its answer
 */
export async function* answersOf<Frame, Answer>(
  frames: AsyncIterable<Frame> | Iterable<Frame>,
  push: (frame: Frame) => Promise<{ answer: Promise<Answer> }>,
): AsyncGenerator<Answer, void, undefined> {
  const source =
    Symbol.asyncIterator in frames ? frames[Symbol.asyncIterator]() : frames[Symbol.iterator]()
  const waiting: Promise<Answer>[] = []
  let ended = false
  const fetch = async (): Promise<{ answer: Promise<Answer> } | null> => {
    const { done, value } = await source.next()
    if (done) {
      ended = true
      return null
    }
    const pushed = await push(value)
    pushed.answer.catch(() => {})
    return pushed
  }
  let fetching: ReturnType<typeof fetch> | undefined
  try {
    for (;;) {
      if (!ended && waiting.length < WAITING) fetching ??= fetch()
      fetching?.catch(() => {})
      const oldest = waiting[0]
      if (!fetching && !oldest) return
      const pushed = fetching?.then((pushed) => ({ pushed }))
      const answered = oldest?.then((answer) => ({ answer }))
      const first = await Promise.race([answered, pushed].filter((one) => one !== undefined))
      if ('answer' in first) {
        waiting.splice(0, 1)
        yield first.answer
      } else {
        fetching = undefined
        if (first.pushed) waiting.push(first.pushed.answer)
      }
    }
  } finally {
    // A source that waits for a camera may never answer, so it is not awaited.
    if (!ended) void Promise.resolve(source.return?.()).catch(() => {})
  }
}
