// A plug-in of TypeDoc: each entry point of the package, each function that it exports and each
// method of TRecViT that begins something has an @example.
import { Application, ReflectionKind } from 'typedoc'

const METHODS = [
  'load',
  'classify',
  'timeline',
  'forward',
  'features',
  'stream',
  'resume',
  'featureStream',
  'resumeFeatures',
  'featuresOf',
]

/** @param {Application} app */
export function load(app) {
  app.on(Application.EVENT_VALIDATE_PROJECT, (project) => {
    const kinds = ReflectionKind.Module | ReflectionKind.CallSignature
    for (const reflection of project.getReflectionsByKind(kinds)) {
      const { kind, parent } = reflection
      const method = parent?.kindOf(ReflectionKind.Method)
      const needed =
        kind === ReflectionKind.Module ||
        parent?.kindOf(ReflectionKind.Function) ||
        (method && parent.parent?.name === 'TRecViT' && METHODS.includes(parent.name))
      if (needed && !reflection.comment?.getTag('@example'))
        app.logger.warn(`${reflection.getFullName()} has no @example`)
    }
  })
}
