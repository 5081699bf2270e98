import { readFile } from 'node:fs/promises'
import { Failure, type FailureCode, type Problem } from '../failure.ts'
import type { Io } from './io.ts'

/** Where a running Verdict is, and as whom to ask it. */
export interface ServerOptions {
  readonly url?: string
  readonly key?: string
}

export interface Ask {
  readonly method: 'GET' | 'PUT'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal?: AbortSignal
}

const HERE = 'http://127.0.0.1:8080'

/** The server's answer, if it is one that did what was asked; else the failure that it tells of. */
export async function askServer(
  { method, path, headers, body, signal }: Ask,
  options: ServerOptions,
  io: Io,
): Promise<Response> {
  const url = urlOf(options, io)
  const authorization = `Bearer ${await keyOf(options, io)}`
  const sent = {
    method,
    headers: { ...headers, authorization },
    ...(body !== undefined && { body }),
    ...(signal && { signal }),
  }
  const response = await fetch(`${url}${path}`, sent).catch((cause: unknown) => {
    throw new Failure('store_unavailable', `could not reach ${url}: ${reasonOf(cause)}`, { cause })
  })
  if (!response.ok) throw await failureOf(response, url)
  return response
}

export function urlOf({ url }: ServerOptions, { env }: Io): string {
  const given = url ?? (env['VERDICT_URL'] || HERE)
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
    throw new Failure('invalid_request', `${given} is no URL of the form https://host`)
  }
  return given.replace(/\/+$/, '')
}

async function keyOf({ key }: ServerOptions, { env }: Io): Promise<string> {
  const file = env['VERDICT_KEY_FILE']
  const found = key ?? (env['VERDICT_KEY'] || (file && (await readFile(file, 'utf8')).trim()))
  if (!found) throw new Failure('unauthenticated', 'no API key: set VERDICT_KEY or VERDICT_KEY_FILE, or give --key')
  if (!/^[!-~]+$/.test(found)) throw new Failure('unauthenticated', 'the API key holds characters that no key has')
  return found
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (cause instanceof Error && 'code' in cause) return String(cause.code)
  return cause instanceof Error ? cause.message : String(cause)
}

async function failureOf(response: Response, url: string): Promise<Failure> {
  const text = await response.text().catch(() => '')
  const said = problemIn(text)
  const detail = said?.detail ?? `it answered ${response.status}, and not as Verdict does: is there one?`
  return new Failure(CODES.get(response.status) ?? 'internal', `${url}: ${detail}`, { problems: said?.errors ?? [] })
}

const CODES: ReadonlyMap<number, FailureCode> = new Map([
  [400, 'invalid_request'],
  [401, 'unauthenticated'],
  [403, 'forbidden'],
  [404, 'not_found'],
  [412, 'version_mismatch'],
  [413, 'payload_too_large'],
  [422, 'unprocessable'],
  [503, 'store_unavailable'],
])

function problemIn(text: string): { readonly detail: string; readonly errors: readonly Problem[] } | undefined {
  try {
    const { detail, errors = [] }: { detail?: unknown; errors?: Problem[] } = JSON.parse(text)
    return typeof detail === 'string' ? { detail, errors } : undefined
  } catch {
    return undefined
  }
}
