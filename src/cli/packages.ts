/**
 * Packages that only some commands need. They are optional peer dependencies, so that a web page
 * does not install a server.
 */
import { TrecvitError } from '../base/error.ts'
import { importOptional } from '../platform/platform.ts'

/**
 * Checks that packages can be imported.
 * @param command the command that needs them
 * @throws TrecvitError with the npm command that installs the missing packages
 */
export async function needPackages(command: string, names: readonly string[]): Promise<void> {
  const found = await Promise.allSettled(names.map((name) => importOptional(name)))
  const missing = names.filter((_, i) => found[i]!.status === 'rejected')
  if (missing.length === 0) return
  const { readFile } = await import('node:fs/promises')
  const { manifest } = await import('../files.ts')
  const { peerDependencies } = JSON.parse(await readFile(manifest, 'utf8')) as {
    peerDependencies: Record<string, string>
  }
  const majors = missing.map((name) => `${name}@${/\d+/.exec(peerDependencies[name]!)![0]}`)
  // npx installs packages in its own folder, where "npm install" has no effect.
  const run = manifest.pathname.includes('/_npx/')
    ? `npx ${['trecvit', ...majors].map((name) => `-p ${name}`).join(' ')} trecvit ${command}`
    : `npm install ${majors.join(' ')}`
  const { reason: cause } = found.find(({ status }) => status === 'rejected') as { reason: unknown }
  throw new TrecvitError(
    `"${command}" needs packages that are not installed (${missing.join(', ')}); run: ${run}`,
    { cause },
  )
}
