import { type LookupAddress, promises } from 'node:dns'
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent, request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { type Destinations, isLoopback } from './addresses.ts'

/** Gets a JSON document from a URL that somebody else has named. Rejects with an `Error` that says why not. */
export type FetchJson = (url: string) => Promise<unknown>

export interface OutgoingOptions {
  readonly destinations: Destinations
  /** Whether plain http is spoken with this machine itself: for development and tests. */
  readonly httpToLoopback: boolean
  readonly resolve?: (host: string) => Promise<readonly LookupAddress[]>
  /** ms for all of it: name, connection, answer. */
  readonly timeLimit?: number
  readonly tls?: SecureContextOptions
}

const TIME_LIMIT_MS = 2_500
const SIZE_LIMIT = 1024 * 1024
/** Over all tenants: a registration whose server never answers must not eat the process's sockets. */
const AT_ONCE = 64

/**
 * The guard against server-side request forgery. The name is resolved once, every address that it has is checked, and
 * the connection goes to those very addresses, so that a second look-up can't say otherwise. https only; no redirects,
 * no credentials in the URL, no proxy; JSON only; time and size are bounded for the whole exchange.
 */
export function jsonFetcher(options: OutgoingOptions): FetchJson {
  const { resolve = resolveAll, timeLimit = TIME_LIMIT_MS } = options
  let underway = 0
  return async (text) => {
    if (underway >= AT_ONCE) throw new Error('too many outgoing requests are under way')
    underway++
    const signal = AbortSignal.timeout(timeLimit)
    try {
      return await inTime(signal, get(options, resolve, text, signal))
    } finally {
      underway--
    }
  }
}

async function get(
  options: OutgoingOptions,
  resolve: (host: string) => Promise<readonly LookupAddress[]>,
  text: string,
  signal: AbortSignal,
): Promise<unknown> {
  const url = readUrl(text)
  const addresses = await addressesOf(url, resolve)
  refuseForbidden(url, addresses, options)
  const answer = await exchange(url, addresses, options.tls, signal)
  return parse(await textOf(answer))
}

function readUrl(text: string): URL {
  if (!URL.canParse(text)) throw new Error('it is no URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Error('it is no https URL')
  if (url.username !== '' || url.password !== '') throw new Error('a URL with credentials is not followed')
  return url
}

function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

async function addressesOf(
  url: URL,
  resolve: (host: string) => Promise<readonly LookupAddress[]>,
): Promise<readonly LookupAddress[]> {
  const host = hostOf(url)
  // The URL's reader has brought every spelling of an address (0x7f.1, 2130706433) into its one form.
  const family = isIP(host)
  const found = family === 0 ? await resolve(host) : [{ address: host, family }]
  if (found.length === 0) throw new Error('the name has no address')
  return found
}

/** One forbidden address is enough: a name with a public and a private one is a trap or a mistake. */
function refuseForbidden(url: URL, addresses: readonly LookupAddress[], options: OutgoingOptions): void {
  const { destinations, httpToLoopback } = options
  const isPlain = url.protocol === 'http:'
  for (const { address } of addresses) {
    const may = isPlain ? httpToLoopback && isLoopback(address) : destinations.allows(address)
    if (!may) throw new Error(isPlain ? 'plain http is not spoken' : `the address ${address} is not allowed`)
  }
}

function exchange(
  url: URL,
  addresses: readonly LookupAddress[],
  tls: SecureContextOptions | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const host = hostOf(url)
  const shared = {
    host,
    port: url.port === '' ? undefined : Number(url.port),
    path: `${url.pathname}${url.search}`,
    signal,
    lookup: lookupIn(addresses),
    headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'verdict' },
  }
  const begin = (): ClientRequest => {
    if (url.protocol === 'http:') return requestHttp({ ...shared, agent: false })
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 })
    // Said outright: no environment variable can turn the check of certificates off here.
    return requestHttps({
      ...shared,
      ...tls,
      agent,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...(isIP(host) === 0 && { servername: host }),
    })
  }
  return new Promise((resolve, reject) => {
    const outgoing = begin()
    outgoing.once('response', resolve)
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** A look-up that knows the addresses already. */
function lookupIn(addresses: readonly LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all === true) callback(null, [...addresses])
    else callback(null, first?.address ?? '', first?.family)
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  try {
    refuseAnswer(answer)
    const parts: Buffer[] = []
    let size = 0
    for await (const part of answer as AsyncIterable<Buffer>) {
      size += part.length
      if (size > SIZE_LIMIT) throw new Error(`it answers with more than ${SIZE_LIMIT} bytes`)
      parts.push(part)
    }
    return Buffer.concat(parts).toString('utf8')
  } finally {
    answer.destroy()
  }
}

const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json\s*(?:;|$)/i

function refuseAnswer({ statusCode, headers }: IncomingMessage): void {
  if (statusCode !== 200) throw new Error(`it answers with status ${statusCode}; redirects are not followed`)
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw new Error('it does not answer with JSON')
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw new Error('it answers in an encoding')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error('what it answers is not valid JSON', { cause })
  }
}

function resolveAll(host: string): Promise<LookupAddress[]> {
  return promises.lookup(host, { all: true, verbatim: true })
}

/** Looking a name up can't be called off: what comes too late is left to itself. */
function inTime<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error('it takes too long'))
    signal.addEventListener('abort', giveUp, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
