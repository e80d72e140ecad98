/** Requests to a server, and its refusals as errors. */
import { messageOf, TrecvitError } from '../base/error.ts'

/** Error: a server has refused a request. The message is the sentence of the server. */
export class ResponseError extends TrecvitError {
  /** HTTP status, like 404. */
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** Where requests go, and how. */
export interface Target {
  /** Address of the server without a slash at its end. */
  readonly base: string
  readonly token: string | undefined
  readonly fetch: typeof fetch
}

/**
 * Sends a request.
 * @throws ResponseError if the server refuses it
 * @throws TrecvitError if the server cannot be reached
 * @throws the reason of the signal, if it is aborted
 */
export async function send(
  { base, token, fetch }: Target,
  path: string,
  init: RequestInit & { readonly signal?: AbortSignal | null } = {},
): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token !== undefined) headers.set('Authorization', `Bearer ${token}`)
  let response: Response
  try {
    response = await fetch(base + path, { ...init, headers })
  } catch (error) {
    init.signal?.throwIfAborted()
    const { cause } = error as Error
    const reason = (cause as { code?: string } | undefined)?.code ?? messageOf(error)
    throw new TrecvitError(
      `The server at ${base} cannot be reached (${reason}); check the address, and that it runs`,
      { cause: error },
    )
  }
  if (response.ok) return response
  const text = await response.text().catch(() => '')
  throw new ResponseError(sentenceOf(text, response), response.status)
}

/** Returns the sentence in the body of a refusal: {"error": "…"}, or {"detail": "…"} of KServe. */
function sentenceOf(text: string, { status, statusText, url }: Response): string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // A proxy may send a page of HTML.
  }
  const { error, detail } = (body ?? {}) as { error?: unknown; detail?: unknown }
  const given = error ?? detail
  if (typeof given === 'string' && given !== '') return given
  return `The server answered ${url} with the status ${status} ${statusText}`.trim()
}
