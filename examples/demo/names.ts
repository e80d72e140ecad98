/** One line about the classes of the current model. */
import type { Reply } from './messages.ts'

/** Number of example names for a model with many classes. */
const EXAMPLES = 3

type Model = Pick<Extract<Reply, { type: 'model' }>, 'kind' | 'name' | 'labels' | 'classes'>

export function whatItNames({ kind, name, labels, classes }: Model): string {
  if (kind === 'builtin')
    return 'This model names how the camera moves: pan, tilt, zoom, roll, shake or static.'
  const who = kind === 'kinetics' ? 'This model' : name
  if (classes === 0) return `${who} has no classes, only features.`
  if (!labels)
    return `${who} has ${classes} classes without names. Open a file of labels to name them.`
  if (kind === 'kinetics')
    return `This model names ${classes} actions, from ${labels[0]} to ${labels.at(-1)}.`
  const shown = labels.slice(0, EXAMPLES).join(', ')
  const more = labels.length > EXAMPLES ? ` and ${labels.length - EXAMPLES} more` : ''
  return `${who} names ${classes} classes: ${shown}${more}.`
}
