/** The check of words (.ci/words.mjs) finds them in comments, messages, titles and names. */
import { expect, test } from 'vitest'
import { faultsOfCode } from '../.ci/words.mjs'

test.each([
  [
    'a comment of one line',
    '// A thread gives up\nlet x = 1',
    ['1 says "gives up": fails, or stops'],
  ],
  [
    'a comment behind code',
    'let x = 1 // how fast it is',
    ['1 says "how fast": throughput, latency'],
  ],
  [
    'a comment whose words are on two lines',
    'let x = 1\n/**\n * An error that nobody\n * foresaw.\n */',
    ['2 says "nobody foresaw": unhandled error'],
  ],
  [
    'an error',
    `throw new Error('expected a whole number, got 1.5')`,
    ['1 says "whole number": integer'],
  ],
  ['a template', 'fail(`the ${kind} device cannot be had`)', [expect.stringMatching(/^1 says/)]],
  ['a title of a test', "test('three videos side by side', () => {})", [expect.anything()]],
  ['a constant', 'const PATIENCE = 400', ['1 names "PATIENCE": timeout']],
  [
    'a part of a name',
    'let x = 1\nexport function breatheOften() {}',
    ['2 names "breatheOften": yieldToEventLoop'],
  ],
  ['a private method', '  #hear(data) {', ['1 names "hear": receive, message']],
])('%s', (_, code, faults) => {
  expect(faultsOfCode(code)).toEqual(faults)
})

test.each([
  ['words in names', 'const team = giveUp(sideBySide)'],
  ['names that contain others', 'const heart = shearOf(patient)'],
  ['code in a comment', '// `team` is the name of an argument'],
  ['short strings', "const kind = 'team'"],
  ['plain words', '/** Returns the number of threads. */'],
])('accepts %s', (_, code) => {
  expect(faultsOfCode(code)).toEqual([])
})
