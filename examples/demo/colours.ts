/** Colours of labels, the same everywhere on the page: --c0 … --c9 of the style sheet. */
const COUNT = 10

const known = new Map<string, number>()

/** Assigns colours to labels, in order. */
export function orderColours(labels: readonly string[] | null): void {
  known.clear()
  if (labels && labels.length <= COUNT) for (const label of labels) known.set(label, known.size)
}

/** Returns the index of the colour of a label. */
export function colourOf(label: string): number {
  if (!known.has(label)) known.set(label, known.size % COUNT)
  return known.get(label)!
}

export const paintWith = (element: HTMLElement, label: string): void =>
  element.style.setProperty('--colour', `var(--c${colourOf(label)})`)
