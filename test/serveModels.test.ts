/** Several models in one server, the OpenAPI description, and the access log. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answered, ServeOptions } from '../src/cli/serve/app.ts'
import { modelSource } from '../src/cli/serve/models.ts'
import { TRecViT } from '../src/index.ts'
import { file, noise, tinyNpz } from './commandLine.ts'
import { appOf, FRAME, model, outputsOf, post, request, useModel } from './serving.ts'

useModel()

let other: TRecViT
let models: ServeOptions['models']
beforeAll(async () => {
  const labels = ['four', 'five', 'six']
  const options = { device: 'wasm', deterministic: true, labels } as const
  other = await TRecViT.load(file('other.npz', tinyNpz()), options)
  models = new Map([
    ['tiny', model],
    ['other', other],
  ])
})
afterAll(() => other.dispose())

const get = async (app: ReturnType<typeof appOf>, path: string) => {
  const response = await app.request(path)
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const body: unknown = isJson ? await response.json() : await response.text()
  return [response.status, body] as const
}

describe('several models', () => {
  test('are listed, and each gives its own answers', async () => {
    const app = appOf({ models })
    expect(await get(app, '/v2/models')).toEqual([200, { models: ['tiny', 'other'] }])
    const frames = post(request([...noise(FRAME)]))
    const labels = []
    for (const name of models.keys()) {
      const answer = (await (await app.request(`/v2/models/${name}/infer`, frames)).json()) as any
      expect(answer.model_name).toBe(name)
      labels.push((outputsOf(answer)['labels'] as string[]).toSorted())
    }
    expect(labels).toEqual([
      ['one', 'three', 'two'],
      ['five', 'four', 'six'],
    ])
    expect(await get(app, '/v2/models/third')).toEqual([
      404,
      { error: 'There is no model "third"; this server has "tiny", "other"' },
    ])
    const [, metrics] = await get(app, '/metrics')
    expect(metrics).toMatch(/^trecvit_frames_total\{kind="infer",model="other"\} 1$/m)
    expect(metrics).toMatch(/^trecvit_device_info\{model="other",/m)
  })

  test('are ready each for itself; the server is when all are', { tags: 'slow' }, async () => {
    const options = { device: 'wasm', deterministic: true } as const
    const gone = await TRecViT.load(file('gone.npz', tinyNpz()), options)
    await gone.dispose()
    const app = appOf({ models: new Map([...models, ['gone', gone]]) })
    expect((await get(app, '/v2/models/tiny/ready'))[0]).toBe(200)
    expect((await get(app, '/v2/models/gone/ready'))[0]).toBe(503)
    expect(await get(app, '/v2/health/ready')).toEqual([
      503,
      { ready: false, error: expect.stringMatching(/^"gone": /) },
    ])
    expect(await get(app, '/healthz')).toEqual([503, 'not ready\n'])
    expect(await get(appOf({ models }), '/healthz')).toEqual([200, 'ok\n'])
  })

  test('healthz needs no token; the host is checked', async () => {
    const app = appOf({ token: 'secret' })
    expect((await get(app, '/v2/models'))[0]).toBe(401)
    expect(await get(app, '/healthz')).toEqual([200, 'ok\n'])
    const headers = { Host: 'evil.example' }
    expect((await app.request('/healthz', { headers })).status).toBe(403)
  })

  test('have names in the command line', () => {
    let all = modelSource('models/tiny.v2.npz')
    all = modelSource('other=https://example.com/a.npz?key=b', all)
    all = modelSource('https://example.com/a.safetensors?key=b=c', all)
    expect(all).toEqual([
      { name: 'tiny.v2', source: 'models/tiny.v2.npz' },
      { name: 'other', source: 'https://example.com/a.npz?key=b' },
      { name: 'a', source: 'https://example.com/a.safetensors?key=b=c' },
    ])
    expect(() => modelSource('b/a.npz', all)).toThrow(
      'The name "a" is taken; give another, like other=b/a.npz.',
    )
  })
})

describe('the description', () => {
  const real = { 'Content-Type': 'video/mp4' }
  const picture = Buffer.concat([
    Buffer.from('YUV4MPEG2 W16 H16 F25:1 C420jpeg\nFRAME\n'),
    noise((16 * 16 * 3) / 2),
  ])
  const infer = request([...noise(FRAME)], undefined, { id: 'mine' })
  const binary = { ...infer, parameters: { binary_data_output: true } }
  const cases: readonly (readonly [path: string, route: string, init?: RequestInit])[] = [
    ['/healthz', '/healthz'],
    ['/openapi.json', '/openapi.json'],
    ['/metrics', '/metrics'],
    ['/weights', '/weights'],
    ['/weights/none.npz', '/weights/{file}'],
    ['/v2', '/v2'],
    ['/v2/health/live', '/v2/health/live'],
    ['/v2/health/ready', '/v2/health/ready'],
    ['/v2/models', '/v2/models'],
    ...['/v2/models/{name}', '/v2/models/{name}/versions/{version}'].flatMap((route) => {
      const path = route.replace('{name}', 'tiny').replace('{version}', '1')
      return [
        [path, route],
        [`${path}/ready`, `${route}/ready`],
        [`${path}/infer`, `${route}/infer`, post(infer)],
        [`${path}/infer`, `${route}/infer`, post(binary)],
        [`${path}/infer`, `${route}/infer`, post('{')],
        [`${path}/infer`, `${route}/infer`, post(picture, real)],
        [`${path}/classify`, `${route}/classify`, post(picture, real)],
        [`${path}/classify?topK=0`, `${route}/classify`, post(picture, real)],
        [`${path}/classify`, `${route}/classify`, post('text', { 'Content-Type': 'text/plain' })],
        [`${path}/stream`, `${route}/stream`],
      ] as const
    }),
    ['/v2/models/none/ready', '/v2/models/{name}/ready'],
  ]

  test('matches real answers, and contains every route', { tags: 'slow' }, async () => {
    const app = appOf({ models })
    const description = (await get(app, '/openapi.json'))[1] as Record<string, any>
    expect(description['info'].version).toBe('1.2.3')
    expect(description['components'].parameters.Name.schema.enum).toEqual(['tiny', 'other'])
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    ajv.addSchema(description, 'api')
    for (const [path, route, init] of cases) {
      const method = init?.method?.toLowerCase() ?? 'get'
      const response = await app.request(path, init)
      const { responses } = description['paths'][route][method]
      const documented = responses[response.status]
      expect(documented, `${path} ${response.status}`).toBeDefined()
      const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
      expect(Object.keys(documented.content), path).toContain(type)
      if (type !== 'application/json') continue
      const pointer = [route, method, 'responses', response.status, 'content', type, 'schema']
        .map((part) => encodeURIComponent(String(part).replaceAll('/', '~1')))
        .join('/')
      const validate = ajv.getSchema(`api#/paths/${pointer}`) as ValidateFunction
      expect(validate(await response.json()) || validate.errors, path).toBe(true)
    }
    const routes = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}'))
      .filter((path) => path !== '/')
    expect(Object.keys(description['paths']).toSorted()).toEqual([...new Set(routes)].toSorted())
  })

  test('of requests: valid ones are accepted, and invalid ones are refused', {
    tags: 'slow',
  }, async () => {
    const app = appOf()
    const description = (await get(app, '/openapi.json'))[1] as object
    const ajv = new Ajv2020({ strict: false })
    const validate = ajv.compile({
      ...description,
      $ref: '#/components/schemas/InferRequest',
    })
    const [tensor] = infer.inputs
    for (const body of [
      infer,
      binary,
      {},
      { inputs: [] },
      { inputs: [tensor, tensor] },
      { inputs: [{ ...tensor, name: 'pixels' }] },
      { inputs: [{ ...tensor, datatype: 'INT8' }] },
      { inputs: [{ ...tensor, shape: [1, 16, 16, 3] }] },
      { ...infer, outputs: [{ name: 'top' }] },
      { ...infer, parameters: { topK: 0 } },
    ]) {
      const { status } = await app.request('/v2/models/tiny/infer', post(body))
      expect(validate(body), JSON.stringify(body).slice(0, 100)).toBe(status === 200)
    }
  })

  test('names the token where one is needed', async () => {
    const [, open] = await get(appOf(), '/openapi.json')
    const [, guarded] = await get(appOf({ token: 'secret' }), '/openapi.json')
    expect(JSON.stringify(open)).not.toContain('"401"')
    expect(guarded).toMatchObject({
      paths: { '/v2/models': { get: { security: [{ token: [] }] } } },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    })
  })
})

test('the log has every answer, no query, and no endless path', async () => {
  const answers: Answered[] = []
  const app = appOf({ onAnswer: (answer) => answers.push(answer), token: 'secret' })
  const incoming = { socket: { remoteAddress: '192.0.2.1' } }
  await app.request('/v2/models/tiny/stream?token=secret', {}, { incoming })
  await app.request(`/${'a'.repeat(5000)}`)
  expect(answers).toEqual([
    {
      method: 'GET',
      path: '/v2/models/tiny/stream',
      status: 426,
      milliseconds: expect.any(Number),
      client: '192.0.2.1',
    },
    expect.objectContaining({ path: `/${'a'.repeat(999)}`, status: 404, client: null }),
  ])
})
