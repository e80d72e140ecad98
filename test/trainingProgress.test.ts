/** The progress of a training in a terminal. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { brailleCurve } from '../src/cli/liveCurve.ts'
import type { Step } from '../src/cli/report/training.ts'
import { drawProgress, TrainingProgress } from '../src/cli/trainingProgress.ts'

describe('a curve of Braille', () => {
  test('goes from the top to the bottom', () => {
    expect(brailleCurve([3, 2, 1, 0], 2, 1)).toEqual(['⠑⢄'])
    expect(brailleCurve([0, 1], 1, 2)).toEqual(['⢸', '⡸'])
    expect(brailleCurve([7, 0, 7, 0], 2, 2)).toEqual(['⢱⣷', '⢸⢿'])
  })

  test('fits its width', () => {
    for (const count of [1, 2, 7, 40, 41, 1000]) {
      const values = Array.from({ length: count }, (_, i) => Math.sin(i))
      const lines = brailleCurve(values, 20, 2)
      expect(lines).toHaveLength(2)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(20)
    }
    expect(brailleCurve([], 4, 1).join('').replaceAll('⠀', '')).toBe('')
  })
})

const step = (more: Partial<Step> = {}): Step => ({
  ...{ step: 30, epoch: 3, loss: 0.51234, accuracy: 0.875, learningRate: 1e-3 },
  ...{ framesPerSecond: 1234.5, ...more },
})

describe('a picture', () => {
  const losses = [2, 1.5, 1, 0.5]

  test('has the numbers, then the curve', () => {
    const [line, ...curve] = drawProgress(step(), losses, { total: 60, left: 200, columns: 100 })
    expect(line).toBe(
      '████░░░░  step 30/60  loss 0.512  accuracy 88 %  3 min 20 s left  1230 frames/s  epoch 3',
    )
    expect(curve.map((text) => text.slice(0, 9))).toEqual(['  2.000 ┤', '  0.500 ┤'])
    expect(curve[0]!.length).toBeLessThanOrEqual(100)
  })

  test('of a narrow terminal is shorter than a line', () => {
    for (const columns of [10, 20, 40, 49, 50, 80]) {
      const lines = drawProgress(step(), losses, { total: 60, left: 20, columns })
      expect(lines).toHaveLength(columns < 50 ? 1 : 3)
      for (const text of lines) expect(text.length).toBeLessThan(columns)
    }
    const [line] = drawProgress(step(), losses, { total: 60, left: 8000, columns: 60 })
    expect(line).toBe('████░░░░  step 30/60  loss 0.512  accuracy 88 %')
  })
})

describe('standard error', () => {
  const { isTTY } = process.stderr
  afterEach(() => {
    process.stderr.isTTY = isTTY
    vi.restoreAllMocks()
  })

  /** What is written for some steps, half a second apart. */
  function written(terminal: boolean, count: number): string {
    process.stderr.isTTY = terminal
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 500))
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const progress = new TrainingProgress({}, count)
    for (let k = 1; k <= count; k++) progress.update(step({ step: k, loss: 1 / k }))
    progress.stop()
    const text = write.mock.calls.flat().join('')
    vi.restoreAllMocks()
    return text
  }

  test('of a terminal shows each picture in the place of the last one', () => {
    const text = written(true, 3)
    expect(text.match(/step \d/g)).toEqual(['step 1', 'step 2', 'step 3'])
    // One line is erased, then three, and all at the end.
    expect(text.split('\x1b[J')).toHaveLength(4)
    expect(text.split('\x1b[2A')).toHaveLength(3)
    expect(text.endsWith('\r\x1b[2A\x1b[J')).toBe(true)
  })

  test('of something else shows nothing', () => {
    expect(written(false, 3)).toBe('')
  })

  test('shows the curve of many steps', { tags: 'slow' }, () => {
    const text = written(true, 2000)
    expect(text).toMatch(/step 2000\/2000 {2}loss 0\.00/)
    const [, most] = /([\d.]+) ┤[^┤]*┤[^┤]*$/.exec(text)!
    expect(Number(most)).toBeGreaterThan(0.3)
  })
})
