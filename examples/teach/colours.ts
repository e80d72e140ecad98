/** Colours of actions: --c0 … --c9 of the style sheet, neighbours far apart. */
const ORDER = [1, 5, 3, 9, 7, 2, 6, 4, 8, 0]

/** @param index position of the action, from 0 */
export const paint = (element: HTMLElement, index: number): void =>
  element.style.setProperty('--colour', `var(--c${ORDER[index % ORDER.length]})`)
