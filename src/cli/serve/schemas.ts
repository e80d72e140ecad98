/**
 * JSON Schemas (2020-12) of requests and responses. Those of responses allow no further members, so
 * that a test notices missing ones.
 */
type Schema = Readonly<Record<string, unknown>>

const string = { type: 'string' }
const boolean = { type: 'boolean' }
const number = { type: 'number' }
const count = { type: 'integer', minimum: 0 }
const prob = { type: 'number', minimum: 0, maximum: 1 }
const rotation = { enum: [0, 90, 180, 270] }
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
const list = (items: Schema): Schema => ({ type: 'array', items })
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` })

/** An object with exactly these members. Members of the second argument are optional. */
function record(properties: Schema, optional: Schema = {}): Schema {
  return {
    type: 'object',
    properties: { ...properties, ...optional },
    required: Object.keys(properties),
    additionalProperties: false,
  }
}

const found = { label: orNull(string), index: count, prob }
const tensor = { name: string, datatype: string, shape: list({ type: 'integer' }) }

export const schemas: Readonly<Record<string, Schema>> = {
  Error: record({ error: string }),
  Server: record({ name: string, version: string, extensions: list(string) }),
  Live: record({ live: boolean }),
  Ready: record({ ready: boolean }, { name: string, error: string }),
  Models: record({ models: list(string) }),
  ModelMetadata: record({
    name: string,
    platform: string,
    inputs: list(record(tensor)),
    outputs: list(record(tensor)),
  }),
  InferRequest: {
    type: 'object',
    properties: {
      id: string,
      parameters: {
        type: 'object',
        properties: {
          topK: { type: 'integer', minimum: 1 },
          binary_data_output: boolean,
          sequence_id: { anyOf: [{ type: 'string', maxLength: 128 }, count] },
          sequence_key: { type: 'string', maxLength: 128 },
          sequence_start: boolean,
          sequence_end: boolean,
        },
      },
      inputs: {
        type: 'array',
        minItems: 1,
        maxItems: 1,
        items: {
          type: 'object',
          properties: {
            name: { const: 'frames' },
            datatype: { enum: ['UINT8', 'FP32'] },
            shape: { type: 'array', items: count, minItems: 5, maxItems: 5 },
            data: { type: 'array' },
            parameters: { type: 'object', properties: { binary_data_size: count } },
          },
          required: ['name', 'datatype', 'shape'],
        },
      },
      outputs: list({
        type: 'object',
        properties: {
          name: { enum: ['logits', 'probs', 'labels'] },
          parameters: { type: 'object', properties: { binary_data: boolean } },
        },
        required: ['name'],
      }),
    },
    required: ['inputs'],
  },
  InferResponse: record(
    {
      model_name: string,
      outputs: list(
        record(tensor, {
          data: { type: 'array', items: { type: ['number', 'string'] } },
          parameters: record({ binary_data_size: count }),
        }),
      ),
    },
    { id: string, parameters: record({ sequence_id: string, sequence_frame: count }) },
  ),
  Class: record(found),
  Segment: record({ start: number, end: number, first: count, last: count, ...found }),
  Video: record({
    container: string,
    codec: string,
    width: count,
    height: count,
    rotation,
    frames: orNull(count),
    duration: orNull(number),
    fps: orNull(number),
    decoder: string,
  }),
  Classified: record({
    model_name: string,
    video: ref('Video'),
    frames: count,
    top: list(ref('Class')),
    logits: list(number),
    probs: list(prob),
    segments: list(ref('Segment')),
  }),
  WeightsList: list(
    record({
      name: string,
      file: string,
      form: string,
      bytes: count,
      about: string,
      licence: string,
    }),
  ),
}
