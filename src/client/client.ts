import type { authenticate, Credential } from '../contract/authenticate.ts'
import { type Administration, administration } from './administration.ts'
import { type AuditReading, auditReading } from './audit.ts'
import type { Answer } from './contract.ts'
import { type Authentication, type Session, tokensOf } from './credentials.ts'
import { checkedTimeout } from './deadline.ts'
import { Decisions, JSON_HEADERS, jsonText } from './decisions.ts'
import { VerdictError } from './error.ts'
import { Rest } from './resources.ts'
import { OwnRevision } from './revision.ts'
import { Search } from './search.ts'
import { isObject, notAnAnswer } from './shape.ts'
import { type Fetch, Transport } from './transport.ts'

export type ClientOptions = Authentication & {
  /** Where Verdict is: `https://verdict.internal`, with a path before its own where a proxy adds one. */
  readonly url: string
  /** How long a call may take with all its tries; 5,000 where it is left out. */
  readonly timeoutMs?: number
  readonly fetch?: Fetch
  /** Told whenever `can` or a guard denied because there was no decision. */
  readonly onError?: (error: unknown) => void
}

export interface Client
  extends Pick<Decisions, 'authorize' | 'can' | 'batch' | 'route' | 'operation' | 'mask' | 'explain'>,
    Administration {
  readonly search: Search
  readonly audit: AuditReading
  /** The newest revision that a write of this client made: `min_revision` of whatever it asks from then on. */
  readonly revision: number | undefined
  /** Exchanges a credential for tokens, once: a login. */
  authenticate(credential: Credential): Promise<Answer<typeof authenticate>>
}

const DEFAULT_TIMEOUT_MS = 5_000

/** Talks to one Verdict, as one caller. A VerdictError: an option that cannot be used. */
export function createClient(options: ClientOptions): Client {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, onError } = options
  const open = new Transport({
    url: baseOf(options.url),
    timeoutMs: checkedTimeout(timeoutMs),
    fetch: fetchOf(options),
  })
  const transport = open.as(tokensOf(options, timeoutMs, (credential) => authenticated(open, credential)))
  const revision = new OwnRevision()
  const decisions = new Decisions(transport, revision, onError)
  const rest = new Rest(transport, revision)
  return {
    authorize: (question, more) => decisions.authorize(question, more),
    can: (question, more) => decisions.can(question, more),
    batch: (question, more) => decisions.batch(question, more),
    route: (question, more) => decisions.route(question, more),
    operation: (question, more) => decisions.operation(question, more),
    mask: (question, more) => decisions.mask(question, more),
    explain: (question, more) => decisions.explain(question, more),
    search: new Search(transport, revision),
    audit: auditReading(rest, transport, timeoutMs),
    ...administration(rest),
    authenticate: (credential) => authenticated(open, credential),
    get revision() {
      return revision.newest
    },
  }
}

async function authenticated(open: Transport, credential: Credential): Promise<Answer<typeof authenticate>> {
  const { body } = await open.json({
    method: 'POST',
    path: '/v1/authenticate',
    headers: JSON_HEADERS,
    body: jsonText(credential),
    retry: 'unanswered',
  })
  if (!isSession(body)) throw notAnAnswer('session')
  return body
}

function isSession(given: unknown): given is Answer<typeof authenticate> & Session {
  return isObject(given) && typeof given['access_token'] === 'string' && typeof given['expires_in'] === 'number'
}

/** Found at each call, so that what is put in its place later is heeded. */
function fetchOf({ fetch }: ClientOptions): Fetch {
  return fetch ?? ((input, init) => globalThis.fetch(input, init))
}

function baseOf(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (!isPlain || url.search !== '' || url.hash !== '') {
    throw new VerdictError('bad_request', 'the url has the form https://host, without credentials, query and fragment')
  }
  return url.href.replace(/\/+$/, '')
}
