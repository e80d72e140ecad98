/** Runs test files in whatever runtime this is: the entry of the bundle that run.mjs makes. */
import { startTests, type Task, type VitestRunner } from '@vitest/runner'
// Written by run.mjs: the path of each file, and how to import it.
import files from 'test-files'

/** What a run came to. */
export interface Outcome {
  passed: number
  failed: number
  skipped: number
}

/**
 * Runs all files, one after the other.
 * @param print takes a line for each file and each failure
 * @param testTimeout milliseconds
 * @param quickGpu leaves out the tests that are slow on a software GPU
 */
export async function run(
  print: (line: string) => void,
  testTimeout: number,
  quickGpu: boolean,
): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, failed: 0, skipped: 0 }
  for (const [file, load] of Object.entries(files)) {
    const start = performance.now()
    const own: Outcome = { passed: 0, failed: 0, skipped: 0 }
    const fail = (name: string, errors: readonly { message: string }[] = []) => {
      own.failed++
      print(`FAIL  ${name}\n${errors.map(({ message }) => `      ${message}`).join('\n')}`)
    }
    const count = (task: Task, path: string) => {
      const name = `${path} > ${task.name}`
      if (task.type === 'suite') {
        task.tasks.forEach((inner) => count(inner, name))
        // An error of the suite itself, of a hook or while its tests were gathered.
        if (task.result?.errors?.length) fail(name, task.result.errors)
      } else if (quickGpu && ['slow', 'gpu'].every((tag) => task.tags?.includes(tag))) return
      else if (task.mode === 'skip' || task.mode === 'todo') own.skipped++
      else if (task.result?.state === 'pass') own.passed++
      else fail(name, task.result?.errors)
    }
    const runner: VitestRunner = {
      config: {
        root: '/',
        setupFiles: [],
        name: undefined,
        passWithNoTests: false,
        testNamePattern: undefined,
        allowOnly: false,
        sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
        chaiConfig: undefined,
        maxConcurrency: 1,
        testTimeout,
        hookTimeout: testTimeout,
        retry: 0,
        includeTaskLocation: false,
        tags: [{ name: 'slow' }, { name: 'gpu' }],
        tagsFilter: quickGpu ? ['!(slow && gpu)'] : undefined,
        strictTags: false,
      },
      importFile: load,
    }
    for (const suite of await startTests([`/${file}`], runner)) {
      suite.tasks.forEach((task) => count(task, file))
      if (suite.result?.errors?.length) fail(file, suite.result.errors)
    }
    if (own.passed + own.failed + own.skipped === 0) fail(`${file} has no tests`)
    print(
      `${own.failed ? 'FAIL ' : 'ok   '} ${file}: ${own.passed} passed, ${own.failed} failed, ` +
        `${own.skipped} skipped (${((performance.now() - start) / 1000).toFixed(1)} s)`,
    )
    for (const key of Object.keys(own) as (keyof Outcome)[]) outcome[key] += own[key]
  }
  return outcome
}
