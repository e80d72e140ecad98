// Counts the tests of a run of vitest, from the report that vitest.config.ts asks for, as `PASSED
// FAILED`; what failed goes to standard error.
import { readFileSync } from 'node:fs'

const report = JSON.parse(readFileSync('build/tests.json', 'utf8'))
const { numPassedTests, numFailedTests, success, testResults } = report
for (const { name, message, assertionResults } of testResults) {
  if (message) console.error(`FAIL  ${name}\n${message}`)
  for (const { status, fullName, failureMessages } of assertionResults)
    if (status === 'failed')
      console.error(`FAIL  ${name} ${fullName}\n${failureMessages[0].slice(0, 1500)}`)
}
console.log(numPassedTests, numFailedTests || (success ? 0 : 1))
