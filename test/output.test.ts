/** Output of the command line to full disks and to special files. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { writeOutput } from '../src/cli/output.ts'
import { file, folder, outcome, rawFrames, run, tinyNpz } from './commandLine.ts'
import { expectReleased, type Held, held } from './held.ts'

const script = fileURLToPath(new URL('../dist/cli/index.js', import.meta.url))
const posix = process.platform !== 'win32'
const { signal } = new AbortController()

let model: string
let clip: string
beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
  clip = file('clip.raw', rawFrames(300))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs `trecvit` in a shell. `$T` is the command. */
async function shell(
  line: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return outcome(
    spawn('sh', ['-c', line], {
      cwd: folder,
      env: { ...process.env, T: `${process.execPath} ${script}` },
    }),
  )
}

describe.skipIf(!existsSync('/dev/full'))('a full disk', { tags: 'slow' }, () => {
  const onto = async (...args: string[]) => {
    const child = spawn(process.execPath, [script, ...args], {
      cwd: folder,
      stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    })
    const stderr: Buffer[] = []
    child.stderr!.on('data', (part: Buffer) => stderr.push(part))
    const code = await new Promise((resolve) => child.on('close', resolve))
    return { code, stderr: Buffer.concat(stderr).toString() }
  }
  const failed = {
    code: 1,
    stderr: expect.stringMatching(
      /^trecvit: Standard output cannot be written \(ENOSPC\)[^\n]*\n$/,
    ),
  }

  test.each([
    [['classify', '--json']],
    [['classify', '--frames', '20']],
    [['stream', '--frames', '3']],
    [['inspect']],
    [['inspect', '--json']],
    [['features', 'clip.raw', '--raw', '20x20', '-m', 'tiny.npz', '-o', 'full.npy']],
    [['convert', 'tiny.npz', 'full.safetensors', '--force']],
    [['serve', '--port', '0']],
    [['--help']],
    [['classify', '--help']],
    [['--version']],
  ])('trecvit %j', async (args) => {
    expect(await onto(...args)).toEqual(failed)
  })

  test('that takes a part of the output', async () => {
    const whole = await run('classify', clip, '--raw', '20x20', '--model', model, '--json')
    expect(whole.stdout.length).toBeGreaterThan(20_000)
    const { code, stderr } = await shell(
      'ulimit -f 8; $T classify clip.raw --raw 20x20 --model tiny.npz --json > part.json',
    )
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^trecvit: Standard output cannot be written \(EFBIG\)/),
    })
    // A regular file is never left incomplete.
    const before = readdirSync(folder)
    const features = await shell(
      'ulimit -f 8; $T features clip.raw --raw 20x20 --model tiny.npz -o full.npz',
    )
    expect(features).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^trecvit: "full.npz" cannot be written \(EFBIG\)/),
    })
    expect(readdirSync(folder)).toEqual(before)
  })

  test('standard error may be full, too', async () => {
    expect((await shell('$T inspect nowhere 2> /dev/full')).code).toBe(1)
  })
})

describe('a file', () => {
  let before: Held
  const place = join(folder, 'places')
  const write = (path: string, text = 'new', replace = true, by = signal) =>
    writeOutput(join(place, path), { replace, signal: by }, (output) =>
      output.write(new TextEncoder().encode(text)),
    )
  const read = (path: string) => readFileSync(join(place, path), 'utf8')
  beforeEach(() => {
    mkdirSync(place)
    before = held()
  })
  afterEach(async () => {
    expect(readdirSync(place).filter((name) => name.endsWith('.part'))).toEqual([])
    await expectReleased(before)
    rmSync(place, { recursive: true })
  })

  test('is replaced as a whole, with its mode', async () => {
    writeFileSync(join(place, 'old'), 'a longer text')
    if (posix) chmodSync(join(place, 'old'), 0o600)
    const { ino } = statSync(join(place, 'old'))
    await write('old')
    expect(read('old')).toBe('new')
    expect(statSync(join(place, 'old')).ino).not.toBe(ino)
    if (posix) expect(statSync(join(place, 'old')).mode & 0o777).toBe(0o600)
    await expect(write('old', 'newer', false)).rejects.toThrow(
      /"[^"]*old" exists already; give another name, or --force to replace it/,
    )
    await expect(write('.')).rejects.toThrow(/is a directory/)
  })

  test('has its folder made, if there is none', async () => {
    await write('one/two/new')
    expect(readdirSync(join(place, 'one/two'))).toEqual(['new'])
    await expect(write('one/two/new/deeper')).rejects.toThrow(
      /deeper" cannot be written \(E\w+\); check that its folder may be written to/,
    )
  })

  test('stays as it was when the work fails', async () => {
    writeFileSync(join(place, 'old'), 'old')
    const work = writeOutput(join(place, 'old'), { replace: true, signal }, async (output) => {
      await output.write(new Uint8Array(10))
      throw new Error('no')
    })
    await expect(work).rejects.toThrow('no')
    expect(read('old')).toBe('old')
  })

  test.skipIf(!posix)('behind symbolic links is replaced, not the link', async () => {
    mkdirSync(join(place, 'disk'))
    writeFileSync(join(place, 'disk', 'real'), 'old')
    symlinkSync('disk/real', join(place, 'link'))
    symlinkSync('link', join(place, 'second'))
    symlinkSync('disk/to be', join(place, 'dangling'))
    await write('second')
    await write('dangling')
    for (const link of ['link', 'second', 'dangling'])
      expect(lstatSync(join(place, link)).isSymbolicLink()).toBe(true)
    expect([read('disk/real'), read('disk/to be')]).toEqual(['new', 'new'])
    expect(readdirSync(join(place, 'disk'))).toEqual(['real', 'to be'])
    symlinkSync('circle', join(place, 'circle'))
    await expect(write('circle')).rejects.toThrow(/circle" cannot be written \(ELOOP\)/)
  })

  test.skipIf(!posix)('that is a device is written in place', async () => {
    symlinkSync('/dev/null', join(place, 'null'))
    await write('null', 'new', false)
    expect(lstatSync(join(place, 'null')).isSymbolicLink()).toBe(true)
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true)
    if (!existsSync('/dev/full')) return
    symlinkSync('/dev/full', join(place, 'full'))
    await expect(write('full')).rejects.toThrow(/full" cannot be written \(ENOSPC\)/)
  })

  test.skipIf(!posix)(
    'that is a named pipe waits for a reader, and gives it the whole',
    { tags: 'slow' },
    async () => {
      execFileSync('mkfifo', [join(place, 'pipe')])
      const text = 'x'.repeat(3_000_000)
      const written = write('pipe', text)
      let got = 0
      // The reader may end before the writer knows that all data is read.
      const read = new Promise((resolve) =>
        setTimeout(() => {
          const reader = spawn('cat', [join(place, 'pipe')])
          reader.stdout.on('data', (part: Buffer) => (got += part.length))
          reader.on('close', resolve)
        }, 200),
      )
      await written
      await read
      expect(got).toBe(text.length)
      expect(lstatSync(join(place, 'pipe')).isFIFO()).toBe(true)

      const stop = new AbortController()
      setTimeout(() => stop.abort(new Error('enough')), 100)
      await expect(write('pipe', text, true, stop.signal)).rejects.toThrow('enough')
    },
  )

  test.skipIf(!existsSync('/proc/self/fd/1'))(
    'that is standard output comes after what was printed',
    { tags: 'slow' },
    async () => {
      symlinkSync('/proc/self/fd/1', join(place, 'stdout'))
      const streamed =
        'stream clip.raw --raw 20x20 --model tiny.npz --frames 2 --json --snapshot places/stdout'
      const piped = Buffer.from((await shell(`$T ${streamed} | base64 -w 0`)).stdout, 'base64')
      expect((await shell(`$T ${streamed} > places/out`)).code).toBe(0)
      expect((await shell(`$T ${streamed.replace('stdout', 'state')}`)).code).toBe(0)
      const state = readFileSync(join(place, 'state'))
      for (const bytes of [piped, readFileSync(join(place, 'out'))]) {
        expect(bytes.subarray(-state.length)).toEqual(state)
        expect(bytes.subarray(0, -state.length).toString().split('\n').length).toBe(3)
      }
    },
  )

  test.skipIf(!posix || spawnSync('unshare', ['-rm', 'true']).status !== 0)(
    'that is a mount point is written in place',
    { tags: 'slow' },
    async () => {
      writeFileSync(join(place, 'host'), 'x'.repeat(100_000))
      writeFileSync(join(place, 'inside'), '')
      const streamed = '$T stream clip.raw --raw 20x20 --model tiny.npz --frames 2 --snapshot'
      const { code, stderr } = await shell(
        `unshare -rm sh -c "mount --bind places/host places/inside && ${streamed} ` +
          `places/inside" && ${streamed} places/plain`,
      )
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(readFileSync(join(place, 'host'))).toEqual(readFileSync(join(place, 'plain')))
      expect(readdirSync(place).sort()).toEqual(['host', 'inside', 'plain'])
    },
  )
})

test.skipIf(!posix)('too few file descriptors get one sentence', { tags: 'slow' }, async () => {
  // Uses up all file descriptors when the command is about to open the model.
  writeFileSync(
    join(folder, 'hold.mjs'),
    `import fs from 'node:fs'
     const { stat } = fs.promises
     fs.promises.stat = (path, ...rest) => {
       try {
         while (path === 'tiny.npz') fs.openSync('/dev/null')
       } catch {}
       return stat(path, ...rest)
     }`,
  )
  const command = '$T classify --frames 2 --model tiny.npz'
  const outcomes = await Promise.all([
    shell(`ulimit -n 100; NODE_OPTIONS="--import ./hold.mjs" ${command}`),
    ...[40, 46, 52, 58].map((limit) => shell(`ulimit -n ${limit}; ${command}`)),
  ])
  // With too few descriptors for its own modules, Node itself fails. With enough, there is a
  // result.
  const ours = outcomes.filter(({ code, stderr }) => code !== 0 && !stderr.startsWith('node:'))
  for (const { code, stderr } of ours)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^trecvit: [^\n]*\(EMFILE\)[^\n]*ulimit -n[^\n]*\n$/),
    })
  expect(ours.length).toBeGreaterThan(0)
})
