// @module-tag slow
/**
 * Weights by name on the command line: pull, models, --model, and confirmation of a download.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { weightsRoutes } from '../src/cli/serve/weights.ts'
import { file, type Outcome, outcome, rawFrames, start, tinyNpz } from './commandLine.ts'
import { serveWeights, type WeightsServer } from './weightsServer.ts'

const bytes = tinyNpz()
const FILE = 'trecvit_B_k400.npz'
const INT8 = 'trecvit_B_k400.int8.safetensors'
const RECORD = 'trecvit_B_k400.json'
const video = file('frames.rgb', rawFrames(3))
const classify = ['classify', video, '--raw', '20x20', '--json', '--model', 'k400']

let server: WeightsServer
let cache: string

beforeEach(async () => {
  server = await serveWeights(bytes)
  cache = mkdtempSync(join(tmpdir(), 'trecvit-pull-'))
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
  rmSync(cache, { recursive: true })
})

const environment = (): Record<string, string> => ({
  TRECVIT_MIRROR: server.mirror,
  TRECVIT_CACHE: cache,
})

const run = (...args: string[]): Promise<Outcome> => outcome(start(args, environment()))

async function json(...args: string[]): Promise<Record<string, any>> {
  const { code, stdout, stderr } = await run(...args, '--json', '--quiet')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

test('without a terminal the error names the command that downloads the weights', async () => {
  for (const args of [
    classify,
    ['inspect', 'k400'],
    ['convert', 'k400', join(cache, 'a.safetensors')],
  ])
    expect(await run(...args)).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'trecvit: The weights "k400" are not on this machine yet: run "trecvit pull k400" ' +
        `(547 MB, CC-BY 4.0, from ${new URL(server.mirror).host}), or add --yes\n`,
    })
  expect(server.requests).toEqual([])
})

test('--yes downloads once; later runs send no request', async () => {
  const first = await run(...classify, '--yes')
  expect(first.code).toBe(0)
  expect(first.stderr).toMatch(
    /^Downloading "k400" \(547 MB, CC-BY 4\.0\) from 127\.0\.0\.1:\d+\n$/,
  )
  expect(readdirSync(cache).sort()).toEqual([RECORD, FILE])
  const second = await json(...classify)
  expect(second['model']).toMatchObject({ source: 'k400', config: { numClasses: 3 } })
  expect(second['probs']).toEqual(JSON.parse(first.stdout).probs)
  expect((await json('inspect', 'k400'))['config']).toMatchObject({ numClasses: 3 })
  expect(server.requests).toHaveLength(1)
})

test('pull keeps float32, or a small form alone; models lists, checks and removes', async () => {
  expect(await json('pull', 'k400', '--dtype', 'int8')).toMatchObject({
    name: 'k400',
    form: 'int8',
    path: join(cache, INT8),
    downloaded: true,
  })
  expect(readdirSync(cache).sort()).toEqual([INT8, RECORD])
  // The converted file serves every command unless it requests another format.
  expect((await json(...classify))['top']).toHaveLength(3)
  expect((await run(...classify, '--dtype', 'f32')).stderr).toMatch(/not on this machine yet/)
  expect(await json('pull', 'k400')).toMatchObject({ form: 'f32', bytes: bytes.length })
  expect(await json('pull', 'k400', '-y')).toMatchObject({ downloaded: false })
  expect(await json('pull', 'k400', '--yes')).toMatchObject({ downloaded: false })
  await json('pull', 'k400', '--dtype', 'f16')
  expect(server.requests).toHaveLength(2)

  const listed = await json('models', '--check')
  expect(listed).toMatchObject({ folder: cache, checked: true })
  expect(listed['models'].map((one: { name: string }) => one.name)).toEqual(['k400', 'mae'])
  const [k400, mae] = listed['models']
  expect(k400.files.map(({ form }: { form: string }) => form)).toEqual(['f32', 'f16', 'int8'])
  expect(k400.record.bytes).toBe(bytes.length)
  expect(mae).toMatchObject({ files: [], part: null, record: null, licence: 'CC-BY 4.0' })
  const text = (await run('models', '--check')).stdout
  expect(text).toMatch(
    /^k400 {2}TRecViT-B for the 400 actions of Kinetics-400, CC-BY 4\.0\n {2}f32 /,
  )
  expect(text).toMatch(/SHA-256 [0-9a-f]{12}… matches/)
  expect(text).toContain('not downloaded: "trecvit pull mae" (533 MB, CC-BY 4.0)')

  const damaged = Uint8Array.from(bytes)
  damaged[100]! ^= 1
  writeFileSync(join(cache, FILE), damaged)
  expect(await run('models', '--check')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /is not what was downloaded \(SHA-256\): remove it with "trecvit/,
    ),
  })
  expect(await json('models', '--remove', 'k400')).toMatchObject({ removed: [{ name: 'k400' }] })
  expect(readdirSync(cache)).toEqual([])
  for (const args of [['pull', 'k401'], ['models', '--remove', 'all'], ['pull']])
    expect((await run(...args)).code).toBe(2)
})

test('two processes can download at once', async () => {
  const outcomes = await Promise.all([1, 2, 3].map(() => run('pull', 'k400')))
  for (const { code } of outcomes) expect(code).toBe(0)
  expect(readdirSync(cache).sort()).toEqual([RECORD, FILE])
  expect((await run('models', '--check')).code).toBe(0)
})

test('after Ctrl-C the next pull resumes the download', async () => {
  server.faults.stallAfter = 2000
  const child = start(['pull', 'k400'], environment())
  const ended = outcome(child)
  await vi.waitFor(() => expect(server.requests).toHaveLength(1), 20_000)
  await vi.waitFor(async () => {
    expect((await json('models'))['models'][0].part).toBeGreaterThanOrEqual(2000)
  }, 20_000)
  child.kill('SIGINT')
  expect((await ended).code).toBe(130)
  server.faults.stallAfter = null
  expect((await run('pull', 'k400')).code).toBe(0)
  expect(server.requests[1]).toMatchObject({ range: 'bytes=2000-', ifRange: '"one"' })
})

test.skipIf(!existsSync('/usr/bin/script'))(
  'at a terminal it asks for confirmation',

  () => {
    const answer = (text: string): string => {
      const command = `${process.execPath} dist/cli/index.js inspect k400`
      const args = ['-qec', command, '/dev/null']
      const env = { ...process.env, ...environment(), TRECVIT_MIRROR: 'http://127.0.0.1:1/w' }
      try {
        return execFileSync('/usr/bin/script', args, { env, input: text, encoding: 'utf8' })
      } catch (error) {
        return (error as { stdout: string }).stdout
      }
    }
    const no = answer('n\n')
    expect(no).toMatch(
      /Download "k400" \(547 MB, CC-BY 4\.0\) from 127\.0\.0\.1:1 to .*\? \[y\/N\]/,
    )
    expect(no).toMatch(/The weights "k400" were not downloaded: run "trecvit pull k400"/)
    expect(answer('\n')).toMatch(/were not downloaded/)
    expect(answer('y\n')).toMatch(
      /Weights "k400" could not be downloaded: URL .* cannot be reached/,
    )
  },
)

test('a server hands them to its page: a list, whole files, ranges', async () => {
  await run('pull', 'k400')
  vi.stubEnv('TRECVIT_CACHE', cache)
  const app = weightsRoutes()
  expect(await (await app.request('/')).json()).toMatchObject([
    { name: 'k400', file: 'k400.npz', form: 'f32', bytes: bytes.length, licence: 'CC-BY 4.0' },
  ])
  const whole = await app.request('/k400.npz')
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
  const part = await app.request('/k400.npz', { headers: { Range: 'bytes=10-19' } })
  expect(part.status).toBe(206)
  expect(part.headers.get('Content-Range')).toBe(`bytes 10-19/${bytes.length}`)
  for (const path of ['/mae.npz', `/${RECORD}`, '/..%2Fx', '/k400.int8.safetensors'])
    expect((await app.request(path)).status).toBe(404)
})
