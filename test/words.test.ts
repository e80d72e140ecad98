/** The check of words (.ci/words.mjs) finds them in comments, messages and titles, not in code. */
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
])('%s', (_, code, faults) => {
  expect(faultsOfCode(code)).toEqual(faults)
})

test.each([
  ['names', 'const team = giveUp(sideBySide)'],
  ['code in a comment', '// `team` is the name of an argument'],
  ['short strings', "const kind = 'team'"],
  ['plain words', '/** Returns the number of threads. */'],
])('accepts %s', (_, code) => {
  expect(faultsOfCode(code)).toEqual([])
})
