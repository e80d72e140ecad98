/**
 * Description of the server at /openapi.json, in OpenAPI 3.1.
 */
import { schemas } from './schemas.ts'
import { JSON_LENGTH } from './tensors.ts'

/** Inputs of a description. */
export interface Described {
  /** Version of the package. */
  readonly version: string
  /** Names of the models. */
  readonly names: readonly string[]
  /** Whether requests need a token. */
  readonly token: boolean
}

type Part = Readonly<Record<string, unknown>>

const ref = (name: string): Part => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: Part): Part => ({ 'application/json': { schema } })
const answer = (description: string, content?: Part): Part => ({
  description,
  ...(content && { content }),
})
const text = { 'text/plain': { schema: { type: 'string' } } }
const bytes = { 'application/octet-stream': { schema: {} } }

/** Reasons for refusing a request, by status. */
const REFUSALS: Readonly<Record<number, string>> = {
  400: 'The request does not fit.',
  401: 'The token is missing or wrong.',
  403: 'The host or the origin is not allowed.',
  404: 'There is no such model, version or file.',
  408: 'The body did not come in time.',
  413: 'The body is larger than the server takes.',
  415: 'The body has a media type or an encoding that is not supported.',
  426: 'The route expects a WebSocket.',
  500: 'An unexpected error; the server writes more to its standard error.',
  503: 'The server is busy, shuts down, or its device failed; try again.',
  504: 'The answer did not come in time.',
}

function refusals(...statuses: readonly number[]): Part {
  return Object.fromEntries(
    [403, ...statuses, 500].map((status) => [
      status,
      answer(REFUSALS[status]!, json(ref('Error'))),
    ]),
  )
}

/** Returns the OpenAPI description. */
export function openApi({ version, names, token }: Described): Part {
  const guarded = token ? { security: [{ token: [] }] } : {}
  const get = (operationId: string, summary: string, responses: Part, more: Part = {}): Part => ({
    get: { operationId, summary, responses, ...more },
  })
  const v2 = (...statuses: readonly number[]) => refusals(...(token ? [401] : []), ...statuses)
  const ready = {
    200: answer('It can answer.', json(ref('Ready'))),
    503: answer('It cannot answer.', json(ref('Ready'))),
  }
  const ofModel = (suffix: string): Readonly<Record<string, Part>> => ({
    '': get(
      `metadata${suffix}`,
      'Inputs and outputs of a model.',
      { 200: answer('The metadata.', json(ref('ModelMetadata'))), ...v2(404) },
      guarded,
    ),
    '/ready': get(
      `modelReady${suffix}`,
      'Whether a model can answer.',
      { ...ready, ...v2(404) },
      guarded,
    ),
    '/infer': {
      post: {
        operationId: `infer${suffix}`,
        summary: 'Classes of frames (Open Inference Protocol v2).',
        parameters: [{ $ref: '#/components/parameters/JsonLength' }],
        requestBody: { required: true, content: { ...json(ref('InferRequest')), ...bytes } },
        responses: {
          200: answer('The outputs.', { ...json(ref('InferResponse')), ...bytes }),
          ...v2(400, 404, 408, 413, 415, 503, 504),
        },
        ...guarded,
      },
    },
    '/classify': {
      post: {
        operationId: `classify${suffix}`,
        summary: 'Classes of a video file or picture, and what happens when.',
        parameters: ['TopK', 'Fps', 'Stride'].map((name) => ({
          $ref: `#/components/parameters/${name}`,
        })),
        requestBody: {
          required: true,
          content: { 'video/*': { schema: {} }, 'image/*': { schema: {} }, ...bytes },
        },
        responses: {
          200: answer('The answer.', json(ref('Classified'))),
          ...v2(400, 404, 413, 415, 503, 504),
        },
        ...guarded,
      },
    },
    '/stream': get(
      `stream${suffix}`,
      'A WebSocket: frames in, a line of JSON for each.',
      { 101: answer('The WebSocket is open.'), ...v2(404, 426, 503) },
      guarded,
    ),
  })
  const models = (path: string, suffix: string, parameters: readonly string[]) =>
    Object.entries(ofModel(suffix)).map(([end, operations]): [string, Part] => [
      path + end,
      {
        parameters: parameters.map((name) => ({ $ref: `#/components/parameters/${name}` })),
        ...operations,
      },
    ])
  return {
    openapi: '3.1.0',
    info: { title: 'trecvit serve', version, license: { name: 'Apache-2.0' } },
    paths: {
      '/healthz': get('healthz', 'Whether every model can answer; needs no token.', {
        200: answer('All can.', text),
        503: answer('One cannot, or the server shuts down.', text),
        ...refusals(),
      }),
      '/openapi.json': get('describe', 'This description.', {
        200: answer('The description.', json({ type: 'object' })),
        ...refusals(),
      }),
      '/metrics': get(
        'metrics',
        'Counts and latencies, for Prometheus.',
        { 200: answer('The metrics.', text), ...v2() },
        guarded,
      ),
      '/weights': get('weights', 'Downloaded weights, for the page.', {
        200: answer('The files.', json(ref('WeightsList'))),
        ...refusals(),
      }),
      '/weights/{file}': get(
        'weightsFile',
        'A file of downloaded weights.',
        { 200: answer('The file.', bytes), ...refusals(404) },
        { parameters: [{ $ref: '#/components/parameters/File' }] },
      ),
      '/v2': get(
        'server',
        'What this server is.',
        { 200: answer('Name and version.', json(ref('Server'))), ...v2() },
        guarded,
      ),
      '/v2/health/live': get(
        'live',
        'Whether the server runs.',
        { 200: answer('It runs.', json(ref('Live'))), ...v2() },
        guarded,
      ),
      '/v2/health/ready': get(
        'ready',
        'Whether every model can answer.',
        { ...ready, ...v2() },
        guarded,
      ),
      '/v2/models': get(
        'models',
        'Names of the models.',
        { 200: answer('The names.', json(ref('Models'))), ...v2() },
        guarded,
      ),
      ...Object.fromEntries([
        ...models('/v2/models/{name}', '', ['Name']),
        ...models('/v2/models/{name}/versions/{version}', 'OfVersion', ['Name', 'Version']),
      ]),
    },
    components: {
      schemas,
      parameters: {
        Name: inPath('name', { enum: names }),
        Version: inPath('version', { const: '1' }),
        File: inPath('file', { type: 'string' }),
        TopK: inQuery('topK', 'Classes to name; 5 by default.', { type: 'integer', minimum: 1 }),
        Fps: inQuery('fps', 'Frames to take a second; all by default.', {
          type: 'number',
          exclusiveMinimum: 0,
          maximum: 1000,
        }),
        Stride: inQuery('stride', 'Takes every n-th frame.', { type: 'integer', minimum: 1 }),
        JsonLength: {
          name: JSON_LENGTH,
          in: 'header',
          description: 'Bytes of JSON before binary tensors; 0: the body is frames, as bytes.',
          schema: { type: 'integer', minimum: 0 },
        },
      },
      ...(token && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

/** Lists the routes of a description, one per line. Routes of models are listed for each name. */
export function listRoutes({ paths }: Part, names: readonly string[]): string {
  return Object.entries(paths as Record<string, Record<string, { summary?: string }>>)
    .filter(([path]) => !path.includes('{version}'))
    .flatMap(([path, operations]) => {
      const all = path.includes('{name}') ? names : ['']
      return all.map((name) => {
        const [method, { summary = '' }] = Object.entries(operations).find(
          ([key]) => key !== 'parameters',
        )!
        const address = path.replace('{name}', encodeURIComponent(name))
        return `${method.toUpperCase().padEnd(4)} ${address.padEnd(32)} ${summary}`
      })
    })
    .join('\n')
}

function inPath(name: string, schema: Part): Part {
  return { name, in: 'path', required: true, schema }
}

function inQuery(name: string, description: string, schema: Part): Part {
  return { name, in: 'query', description, schema }
}
