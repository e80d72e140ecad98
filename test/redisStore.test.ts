/** States of streams in Redis: owners, tokens and leases. Skipped without redis-server. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRedisStore } from '../src/cli/serve/sequences/redisStore.ts'
import { type Owned, type StateStore, TakenOverError } from '../src/cli/serve/sequences/store.ts'
import { hasRedis, startRedis } from './fleet/redis.mjs'

describe.runIf(hasRedis)('states in Redis', () => {
  const LEASE = 300
  const claim = { model: 'm', fingerprint: 'f', id: 'a', key: 'secret', start: true }
  let url: string
  let kill: () => Promise<void>
  const sentences: string[] = []
  let one: StateStore
  let two: StateStore

  const openStore = () =>
    openRedisStore({ url, lease: LEASE, onChange: (sentence) => sentences.push(sentence) })
  const opened = async (store: StateStore, rest: object = {}): Promise<Owned> => {
    const answer = await store.open({ ...claim, ...rest })
    expect(answer).toHaveProperty('save')
    return answer as Owned
  }

  beforeAll(async () => {
    ;({ url, kill } = await startRedis())
    one = await openStore()
    two = await openStore()
  })

  afterAll(async () => {
    await Promise.all([one.close(), two.close()])
    await kill()
  })

  test('are written by one server at a time; the one before is refused', async () => {
    const before = await opened(one)
    expect([before.frame, before.state]).toEqual([0, null])
    await before.save(3, Uint8Array.of(0, 255, 10))
    // Another client waits for the lease.
    expect(await two.open({ ...claim, key: 'other' })).toEqual({ heldFor: expect.any(Number) })
    // The same client needs not wait, even if its server is alive.
    const after = await opened(two)
    expect([after.frame, Uint8Array.from(after.state!)]).toEqual([3, Uint8Array.of(0, 255, 10)])
    for (const late of [() => before.save(9, Uint8Array.of(9)), before.release, before.end])
      await expect(late()).rejects.toThrow(TakenOverError)
    await after.save(4, Uint8Array.of(4))
    await after.release()
    await expect(after.save(5, Uint8Array.of(5))).rejects.toThrow(TakenOverError)
    const third = await opened(one, { key: '', start: false })
    expect([third.frame, Uint8Array.from(third.state!)]).toEqual([4, Uint8Array.of(4)])
    await third.end()
    expect(await one.open({ ...claim, start: false })).toBe('unknown')
  })

  test('go on after a start that was sent twice, and begin anew for another client', async () => {
    await (await opened(one, { id: 'b' })).save(7, Uint8Array.of(7))
    const again = await opened(two, { id: 'b' })
    expect(again.frame).toBe(7)
    await again.release()
    const anew = await opened(two, { id: 'b', key: 'other' })
    expect([anew.frame, anew.state]).toEqual([0, null])
    // A start without a state is no stream to go on with.
    await anew.release()
    expect(await two.open({ ...claim, id: 'b', start: false })).toBe('unknown')
  })

  test('belong to a model', async () => {
    const owned = await opened(one, { id: 'c' })
    await owned.save(1, Uint8Array.of(1))
    expect(await two.open({ ...claim, id: 'c', fingerprint: 'g' })).toEqual({ fingerprint: 'f' })
  })

  test('are free when the lease of their server has ended', { tags: 'slow' }, async () => {
    const lost = await openStore()
    const owned = await opened(lost, { id: 'd' })
    await owned.save(1, Uint8Array.of(1))
    const client = new Redis(url)
    const goesOn = { ...claim, id: 'd', key: '', start: false }
    // The lease is renewed.
    await new Promise((resolve) => setTimeout(resolve, 2 * LEASE))
    expect(await two.open(goesOn)).toEqual({ heldFor: expect.any(Number) })
    expect(await client.keys('trecvit:server:*')).toHaveLength(3)
    await lost.close()
    expect(await client.keys('trecvit:server:*')).toHaveLength(2)
    client.disconnect()
    expect(await two.open(goesOn)).toHaveProperty('save')
    expect(sentences).toEqual([])
  })
})
