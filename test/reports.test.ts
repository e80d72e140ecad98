/** Pages that the commands of training draw. */
import { describe, expect, test } from 'vitest'
import { type Evaluated, evaluationPage } from '../src/cli/report/evaluation.ts'

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
    expect(texts(html, /dd/)).toEqual(['75.0 %', '100.0 %', '75.0 %', '2', '1'])
    expect(texts(html, /small/)).toEqual(['3 of 4', '4 of 4', 'of 4 in the model', 'videos'])
    const rows = texts(html, /th scope="row"/)
    expect(rows).toEqual(['a &#38; b', '&#60;wave&#62;', 'a &#38; b', '&#60;wave&#62;'])
    expect(texts(html, /td class="number"/)).toEqual(['2', '50.0 %', '2', '100.0 %'])
    expect(html).toContain('<th scope="col">&#60;wave&#62;</th><th scope="col">wave</th>')
    expect(texts(html, /td[^>]* style="--share/)).toEqual(['', '1', '1', '2', '', ''])
    expect(texts(html, /li/)).toEqual(['&#34;x&#34;.mp4: It has no frames'])
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
    expect(html).toContain(
      '<tr><th scope="row">class 7</th><td>class 3</td><td class="number">5</td></tr>',
    )
  })
})
