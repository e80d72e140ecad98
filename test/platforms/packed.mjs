/** The package as npm gives it to users, in a project of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Packs what is built in dist/ and installs it; the folder is removed when the process ends.
 * Without the script prepack, which would build dist/ again while other tests use it.
 * @returns the folder, and the path of the packed file
 */
export function installPacked() {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    }),
  )
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  execFileSync(
    'npm',
    ['install', '--no-fund', '--no-audit', '--ignore-scripts', '--omit=optional', `./${filename}`],
    { cwd: folder, stdio: 'pipe' },
  )
  return { folder, packed: join(folder, filename) }
}
