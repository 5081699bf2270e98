import type { Deadline } from './deadline.ts'
import { type ProblemDetails, VerdictError, type VerdictErrorCode } from './error.ts'

/** The body, whole and as JSON; undefined where there is none by rights (204). Throws what it is that came instead. */
export async function jsonOf(response: Response, maxBytes: number, deadline: Deadline): Promise<unknown> {
  const { status } = response
  if (status === 204) return undefined
  if (!response.ok) throw await refusalOf(response, deadline)
  if (mediaTypeOf(response) !== 'application/json') {
    throw new VerdictError('bad_answer', `the answer is ${mediaTypeOf(response) || 'of no type'}, not JSON`, { status })
  }
  return parsed(await textOf(response, maxBytes, deadline), status)
}

/** Throws unless the answer did what was asked; its body is still to be read. */
export async function checkStatus(response: Response, deadline: Deadline): Promise<void> {
  if (!response.ok) throw await refusalOf(response, deadline)
}

function parsed(text: string, status: number): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new VerdictError('bad_answer', 'the answer is not the JSON that it says it is', { cause, status })
  }
}

const PROBLEM_BYTES = 1024 * 1024

async function refusalOf(response: Response, deadline: Deadline): Promise<VerdictError> {
  const { status } = response
  const problem = await problemIn(response, deadline)
  const code = problem === undefined ? undefined : codeOf(problem)
  const message = problem?.detail ?? `the answer is a ${status}, and not as Verdict gives one`
  return new VerdictError(code ?? 'bad_answer', message, { status, problem, retryAfterMs: retryAfterOf(response) })
}

async function problemIn(response: Response, deadline: Deadline): Promise<ProblemDetails | undefined> {
  if (mediaTypeOf(response) !== 'application/problem+json') {
    // Nobody reads it, and the next try may be answered: unread, it would hold its connection.
    response.body?.cancel().catch(() => {})
    return undefined
  }
  const text = await textOf(response, PROBLEM_BYTES, deadline).catch(() => undefined)
  const problem = text === undefined ? undefined : objectIn(text)
  return problem !== undefined && isProblem(problem) ? problem : undefined
}

function objectIn(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

const isProblem = (given: object): given is ProblemDetails =>
  'type' in given && typeof given.type === 'string' && 'detail' in given && typeof given.detail === 'string'

const PROBLEM = 'urn:verdict:problem:'

function codeOf({ type }: ProblemDetails): VerdictErrorCode | undefined {
  // A later server has codes that this client was not built with: they are told as they are.
  return type.startsWith(PROBLEM) ? (type.slice(PROBLEM.length) as VerdictErrorCode) : undefined
}

/** Seconds, or an instant. */
function retryAfterOf({ headers }: Response): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}

const mediaTypeOf = ({ headers }: Response) => (headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase()

async function textOf(response: Response, maxBytes: number, deadline: Deadline): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let bytes = 0
  for await (const chunk of chunksOf(response, deadline)) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) {
      throw new VerdictError('bad_answer', `the answer is longer than ${maxBytes} bytes`, { status: response.status })
    }
    text += decoded(() => decoder.decode(chunk, { stream: true }), response)
  }
  return text + decoded(() => decoder.decode(), response)
}

function decoded(decode: () => string, { status }: Response): string {
  try {
    return decode()
  } catch (cause) {
    throw new VerdictError('bad_answer', 'the answer is not UTF-8', { cause, status })
  }
}

/** The bytes as they come. Whoever stops early lets go of the connection. */
export async function* chunksOf(
  { body, status }: Response,
  deadline: Pick<Deadline, 'race'>,
): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await deadline.race(reader.read()).catch((cause: unknown) => {
        if (cause instanceof VerdictError) throw cause
        throw new VerdictError('disconnected', 'the connection broke before the whole answer was there', {
          cause,
          status,
        })
      })
      if (done) return
      yield value
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
