import { expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { needPackages } from '../src/cli/packages.ts'

const found = new Set<string>()

vi.mock('../src/platform/platform.ts', async (original) => ({
  ...(await original<object>()),
  importOptional: async (name: string) => {
    if (!found.has(name)) throw new Error(`Cannot find package '${name}'`)
  },
}))

test('says which packages are missing, and how they are installed', async () => {
  found.add('hono')
  await expect(needPackages('serve', ['hono', '@hono/node-server', 'ws'])).rejects.toThrow(
    new TrecvitError(
      '"serve" needs packages that are not installed (@hono/node-server, ws); ' +
        'run: npm install @hono/node-server@2 ws@8',
    ),
  )
})

test('is silent where all are installed', async () => {
  found.add('ws')
  await needPackages('serve', ['hono', 'ws'])
})
