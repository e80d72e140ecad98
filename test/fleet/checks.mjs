/** Checks that print a line each. */

/** How many checks have passed and failed. */
export const counts = { passed: 0, failed: 0 }

/** @param work resolves with what the line says besides, if anything */
export async function check(name, work) {
  const start = performance.now()
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
  try {
    const note = await work()
    counts.passed++
    console.log(`ok    ${name}${note ? `: ${note}` : ''} (${seconds()})`)
  } catch (error) {
    counts.failed++
    console.log(`FAIL  ${name} (${seconds()})\n${error.stack}`)
  }
}
