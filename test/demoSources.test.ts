/** The source that the demo page marks as chosen, with elements that only keep what is set. */
import { expect, test, vi } from 'vitest'
import type { Request } from '../examples/demo/messages.ts'

/** Elements by id. */
const elements = new Map<string, ReturnType<typeof fake>>()

function fake() {
  const classes = new Set<string>()
  return {
    textContent: '',
    parentElement: { hidden: false },
    classes,
    classList: { toggle: (name: string, on: boolean) => classes[on ? 'add' : 'delete'](name) },
    setAttribute() {},
    append() {},
    replaceChildren() {},
    elements: { namedItem: () => ({ value: '', validity: { valid: true } }) },
  }
}

function elementOf(id: string): ReturnType<typeof fake> {
  if (!elements.has(id)) elements.set(id, fake())
  return elements.get(id)!
}

test('the video that was opened is chosen, not one that was asked for later', {
  tags: 'slow',
}, async () => {
  vi.stubGlobal('document', { title: '', getElementById: elementOf, createElement: fake })
  vi.stubGlobal('crossOriginIsolated', false)
  const { Sources } = await import('../examples/demo/sources.ts')
  const sent: Request[] = []
  const sources = new Sources(
    (request) => void sent.push(request),
    () => {},
  )
  sources.open(new File([], 'good.mp4'))
  sources.open(new File([], 'broken.mp4'))
  expect(sent).toMatchObject([{ name: 'good.mp4' }, { name: 'broken.mp4' }])
  // The worker opens the first; the second is no video.
  sources.opened('good.mp4')
  expect(elementOf('fileName').textContent).toBe('good.mp4')
  expect(elementOf('openFile').classes).toContain('chosen')
  expect(document.title).toBe('good.mp4 — trecvit')
})
