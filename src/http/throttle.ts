import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../authn/caller.ts'
import { Failure } from '../failure.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose calls this one is counted among. */
    throttled_as: string
  }
}

export interface ThrottleLimits {
  /** Administrative calls of one caller from one address, each minute. */
  readonly administrationPerMinute: number
  /** Calls of `/v1/authenticate` from one address, each minute. */
  readonly authenticationPerMinute: number
}

/** Counts calls, in this process, and fails with `throttled` where they are too many. */
export interface Throttles {
  administration(request: FastifyRequest, reply: FastifyReply, caller: Caller): Promise<void>
  authentication(request: FastifyRequest, reply: FastifyReply): Promise<void>
}

const MINUTE_MS = 60_000
/** A provider gives each customer a network of this size: who has one has all its addresses. */
const IPV6_BITS = 64

export async function createThrottles(app: FastifyInstance, limits: ThrottleLimits): Promise<Throttles> {
  app.decorateRequest('throttled_as', '')
  await app.register(rateLimit, { global: false })
  const byCaller = { timeWindow: MINUTE_MS, keyGenerator: ({ throttled_as }: FastifyRequest) => throttled_as }
  const administration = app.createRateLimit({ ...byCaller, max: limits.administrationPerMinute })
  // What takes rights away has room of its own, that nothing else uses up.
  const revocation = app.createRateLimit({ ...byCaller, max: limits.administrationPerMinute })
  const authentication = app.createRateLimit({
    timeWindow: MINUTE_MS,
    max: limits.authenticationPerMinute,
    ipv6Subnet: IPV6_BITS,
  })
  return {
    async administration(request, reply, { tenant, subject, key_id }) {
      request.throttled_as = JSON.stringify([tenant, key_id ?? subject, request.ip])
      await counted(request.routeOptions.config.revokes === true ? revocation : administration, request, reply)
    },
    authentication: (request, reply) => counted(authentication, request, reply),
  }
}

type Count = ReturnType<FastifyInstance['createRateLimit']>

/** What is left of a limit, until it begins anew. `reset` in seconds. */
interface Left {
  readonly limit: number
  readonly remaining: number
  readonly reset: number
}

/** Tells of the limit that was reached, in the headers of its answer. */
export class TooMany extends Failure {
  readonly left: Left

  constructor(left: Left) {
    super('throttled', 'too many calls: try again later', { retryAfter: Math.max(1, left.reset) })
    this.left = left
  }
}

async function counted(count: Count, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const found = await count(request)
  if (found.isAllowed) return
  const left = { limit: found.max, remaining: found.remaining, reset: found.ttlInSeconds }
  if (found.isExceeded) throw new TooMany(left)
  tell(reply, left)
}

export function tell(reply: FastifyReply, { limit, remaining, reset }: Left): void {
  reply.header('ratelimit-limit', String(limit))
  reply.header('ratelimit-remaining', String(remaining))
  reply.header('ratelimit-reset', String(reset))
}

/** How many decisions a tenant asks for in a second, where its settings say how many it may. */
export class DecisionRate {
  readonly #seconds = new Map<string, { second: number; count: number }>()

  /** Fails with `throttled`; `decisions` that are refused together are not counted. `now` in ms. */
  count(tenant: string, atMost: number, now: number, decisions = 1): void {
    const second = Math.floor(now / 1000)
    const known = this.#seconds.get(tenant)
    const before = known?.second === second ? known.count : 0
    const count = before + decisions
    if (count > atMost) throw new TooMany({ limit: atMost, remaining: atMost - before, reset: 1 })
    if (known?.second === second) known.count = count
    else this.#seconds.set(tenant, { second, count })
  }
}
