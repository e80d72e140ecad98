/**
 * A client of the Open Inference Protocol v2 for browsers and servers, without dependencies.
 * @module trecvit/client
 * @example
 * import { Client } from 'trecvit/client'
 * const client = new Client('http://127.0.0.1:8000')
 * console.log(await client.ready(), await client.models())
 */

export { TrecvitError } from '../base/error.ts'
export type { RemoteAnswer, RemoteClass } from './answer.ts'
export {
  Client,
  type ClientOptions,
  type InferOptions,
  type InferResult,
} from './client.ts'
export type { WebSocketClass, WebSocketLike } from './connection.ts'
export type { ModelMetadata, TensorMetadata } from './metadata.ts'
export type { RemoteAverage, RemoteStreamOptions } from './options.ts'
export { ResponseError } from './request.ts'
export type { RemoteStream } from './stream.ts'
export type { Datatype, InputTensor, OutputTensor, TensorData } from './tensors.ts'
