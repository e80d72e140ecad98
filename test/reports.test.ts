/** Pages that the commands of training draw. */
import { describe, expect, test } from 'vitest'
import { accuracyLine } from '../src/cli/evaluate.ts'
import { type Evaluated, evaluationPage } from '../src/cli/report/evaluation.ts'
import { encodePng, pictureSection } from '../src/cli/report/pictures.ts'
import { type Step, trainingPage } from '../src/cli/report/training.ts'
import { readFrames, toPixels } from '../src/video/index.ts'

const source = { data: 'clips/', model: 'mine.safetensors' }

/** Text of the elements that a pattern begins. */
const texts = (html: string, tag: RegExp) =>
  [...html.matchAll(new RegExp(`<${tag.source}[^>]*>([^<]*)`, 'g'))].map(([, text]) => text)

/** Everything is in the page: no scripts, styles, fonts or pictures from elsewhere. */
function expectSelfContained(html: string): void {
  expect(html).not.toMatch(/(src|href)="(?!data:)|@import|url\((?!data:)/)
  expect(html).toMatch(/^<!doctype html>\n<html lang="en">/)
}

describe('an evaluation', () => {
  const result: Evaluated = {
    ...{ videos: 4, top1: 0.75, top5: 1 },
    classes: [
      { label: 'a & b', videos: 2, top1: 0.5, answers: { 'a & b': 1, wave: 1 } },
      { label: '<wave>', videos: 2, top1: 1, answers: { '<wave>': 2 } },
    ],
    errors: [{ video: '"x".mp4', error: 'It has no frames' }],
  }

  test('shows accuracy, classes, confusions and errors, escaped', () => {
    const html = evaluationPage(result, ['<wave>', 'wave', 'a & b', 'unused'], source)
    expectSelfContained(html)
    expect(texts(html, /dd/)).toEqual(['75.0 %', '75.0 %', '2', '1'])
    expect(texts(html, /small/)).toEqual(['3 of 4', 'of 4 in the model', 'videos'])
    const rows = texts(html, /th scope="row"/)
    expect(rows).toEqual(['a &#38; b', '&#60;wave&#62;', 'a &#38; b', '&#60;wave&#62;'])
    expect(texts(html, /td class="number"/)).toEqual(['2', '50.0 %', '2', '100.0 %'])
    expect(html).toContain('<th scope="col">&#60;wave&#62;</th><th scope="col">wave</th>')
    expect(texts(html, /td[^>]* style="--share/)).toEqual(['', '1', '1', '2', '', ''])
    expect(html).toContain('<td class="strong-dark" style="--share:0.500;--some:1">1</td>')
    expect(texts(html, /li/)).toEqual(['&#34;x&#34;.mp4: It has no frames'])
  })

  test('has no top-5 of at most five classes, where it is always 100 %', () => {
    expect(accuracyLine(result, 5)).toBe('top-1 75.0 % of 4 videos')
    expect(accuracyLine(result, 6)).toBe('top-1 75.0 %, top-5 100.0 % of 4 videos')
    const html = evaluationPage(result, ['<wave>', 'wave', 'a & b', 'unused', 'fifth'], source)
    expect(html).toContain('Top-1')
    expect(html).not.toContain('Top-5')
  })

  test('of many classes lists the most frequent confusions', () => {
    const names = Array.from({ length: 41 }, (_, i) => `class ${i}`)
    const classes = names.map((label, i) => {
      const answers = i === 7 ? { [label]: 1, 'class 3': 5 } : { [label]: 6 }
      return { label, videos: 6, top1: answers[label]! / 6, answers }
    })
    const html = evaluationPage({ ...result, classes, errors: [] }, names, source)
    expect(html).not.toContain('class="matrix"')
    expect(html).not.toContain('Not read')
    expect(texts(html, /dd/).slice(0, 2)).toEqual(['75.0 %', '100.0 %'])
    expect(texts(html, /small/).slice(0, 2)).toEqual(['3 of 4', '4 of 4'])
    expect(html).toContain(
      '<tr><th scope="row">class 7</th><td>class 3</td><td class="number">5</td></tr>',
    )
  })
})

describe('a training', () => {
  const facts = { title: 'Training', facts: ['from <builtin>'], videos: 8, total: 6 }
  const steps: Step[] = [1, 2, 3, 4].map((step) => ({
    ...{ step, epoch: Math.ceil(step / 2), loss: [8, 4, 2, 0][step - 1]! },
    ...{ accuracy: step / 4, learningRate: 1e-3, framesPerSecond: 18_456 },
  }))

  test('shows curves of loss, accuracy and learning rate', () => {
    const html = trainingPage(steps, facts)
    expectSelfContained(html)
    expect(html).toContain('from &#60;builtin&#62;')
    expect(texts(html, /dd/)).toEqual(['1.000', '87.5 %', '4', '8', '18,500'])
    expect(texts(html, /h2/)).toEqual(['Loss', 'Accuracy', 'Learning rate', 'Epochs'])
    expect(html).toContain('aria-label="Loss: from 8 to 0 over 4 steps"')
    // Of steps 1, 2, 3 and 4, and the means 6 and 1 of the epochs at steps 1.5 and 3.5.
    expect(html).toContain('d="M0 0L333.33 50L666.67 75L1000 100"')
    expect(html).toContain('d="M166.67 25L833.33 87.5"')
    expect(texts(html, /td/).slice(0, 6)).toEqual([
      '6.0000',
      '37.5 %',
      '1.00e-3',
      '1.0000',
      '87.5 %',
      '1.00e-3',
    ])
  })

  test('of one step, of none and without accuracy is drawn', () => {
    const { accuracy: _, ...rest } = steps[0]!
    const html = trainingPage([rest], facts)
    expect(texts(html, /h2/)).toEqual(['Loss', 'Learning rate', 'Epochs'])
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
    expect(trainingPage([], facts)).toContain('<small>of 6</small>')
  })

  test('of many steps has at most 1000 points a curve', () => {
    const many = Array.from({ length: 12_345 }, (_, i) => ({ ...steps[0]!, step: i + 1 }))
    const html = trainingPage(many, facts)
    expect(html.length).toBeLessThan(200_000)
  })

  test('shows pictures of clips', async () => {
    const pixels = Uint8Array.from({ length: 5 * 4 * 6 * 3 }, (_, i) => (i * i * 31) % 256)
    const frames = { data: pixels, shape: [1, 5, 4, 6, 3] }
    const html = pictureSection([{ name: '"a"', frames, masked: frames, reconstruction: frames }])
    expectSelfContained(`<!doctype html>\n<html lang="en">${html}`)
    expect(html).toContain('aria-label="Visible patches of &#34;a&#34;"')
    const pictures = [...html.matchAll(/src="data:image\/png;base64,([^"]+)"/g)]
    expect(pictures).toHaveLength(12)
    const shown = []
    for (const [, picture] of pictures.slice(0, 4))
      for await (const frame of readFrames(Buffer.from(picture!, 'base64')))
        shown.push(toPixels(frame, { height: 4, width: 6 }))
    expect(shown).toEqual([0, 1, 3, 4].map((i) => pixels.slice(i * 72, (i + 1) * 72)))
    expect(encodePng(pixels, 6, 4).subarray(1, 4)).toEqual(Buffer.from('PNG'))
  })
})
