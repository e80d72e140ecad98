/** Parts of the page Teach that need no browser. */
import { describe, expect, test } from 'vitest'
import { Lesson, viewOf } from '../examples/teach/lesson.ts'
import { MOST } from '../examples/teach/messages.ts'
import { featuresOf, lengthOf, splitOf, windowsOf } from '../examples/teach/windows.ts'

/** A recording of t frames with 2 features each; the first one is the number of the frame. */
const rowsOf = (t: number, width = 2) => ({
  data: Float32Array.from({ length: t * width }, (_, index) => Math.floor(index / width)),
  width,
})

describe('windows of recordings', () => {
  test('no frame is learned from and held out', () => {
    for (const t of [30, 31, 60, 90, 600]) {
      const { train, heldOut } = windowsOf([rowsOf(t)], 15)
      const last = Math.max(...train.map(({ start }) => start + 15))
      const first = Math.min(...heldOut.map(({ start }) => start))
      expect(last).toBeLessThanOrEqual(first)
      expect(Math.max(...heldOut.map(({ start }) => start + 15))).toBeLessThanOrEqual(t)
      expect(heldOut.length).toBeGreaterThan(0)
    }
  })
  test('a recording shorter than two windows is used whole', () => {
    expect(splitOf(29, 15)).toBe(29)
    const { train, heldOut } = windowsOf([rowsOf(29)], 15)
    expect(heldOut).toEqual([])
    expect(Math.max(...train.map(({ start }) => start))).toBe(14)
  })
  test('each action has as many windows to learn from, whatever the length', () => {
    const counts = [[15], [90], [900], [30, 90, 20]].map(
      (lengths) =>
        windowsOf(
          lengths.map((t) => rowsOf(t)),
          15,
        ).train.length,
    )
    expect(new Set(counts).size).toBe(1)
  })
  test('a window has the features of its frames', () => {
    const rows = rowsOf(40)
    expect(lengthOf(rows)).toBe(40)
    expect([...featuresOf({ rows, start: 7 }, 3)]).toEqual([7, 7, 8, 8, 9, 9])
  })
})

describe('a lesson', () => {
  const picture = new Blob([])
  const recorded = (lesson: Lesson, index: number) =>
    lesson.record(lesson.actions[index]!.id, { ...rowsOf(30), seconds: 1, picture })

  test('begins with two actions, and has at most ten', () => {
    const lesson = new Lesson()
    expect(lesson.actions).toHaveLength(2)
    for (let count = 0; count < 20; count++) lesson.add()
    expect(lesson.actions).toHaveLength(MOST)
  })
  test('says what hinders learning', () => {
    const lesson = new Lesson()
    expect(lesson.hindrance).toMatch(/recordings of 2 actions, got 0/)
    recorded(lesson, 0)
    recorded(lesson, 1)
    expect(lesson.hindrance).toBeNull()
    for (const { id } of lesson.actions) lesson.rename(id, ' wave ')
    expect(lesson.hindrance).toBe('Two actions have the name "wave"; rename one of them')
  })
  test('continues as it was kept', () => {
    const lesson = new Lesson()
    lesson.rename(lesson.actions[0]!.id, 'wave')
    recorded(lesson, 0)
    const again = new Lesson()
    again.recall(structuredClone(lesson.keep('encoder')))
    expect(again.views.map(({ label, recordings }) => [label, recordings.length])).toEqual([
      ['wave', 1],
      ['Action 2', 0],
    ])
    again.add()
    expect(new Set(again.actions.map(({ id }) => id)).size).toBe(3)
  })
})

test('the result counts held-out clips, and names the most frequent error', () => {
  const confusion = [
    [8, 1, 0],
    [0, 9, 0],
    [3, 0, 5],
  ]
  expect(viewOf([4, 5, 6], confusion)).toEqual({
    ...{ actions: [4, 5, 6], heldOut: 26, right: 22 },
    confused: [6, 4],
  })
  expect(viewOf([4, 5], []).confused).toBeNull()
})
