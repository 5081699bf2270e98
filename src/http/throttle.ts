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

async function counted(count: Count, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const found = await count(request)
  if (found.isAllowed) return
  const { max, remaining, ttlInSeconds, isExceeded } = found
  reply.header('ratelimit-limit', String(max))
  reply.header('ratelimit-remaining', String(remaining))
  reply.header('ratelimit-reset', String(ttlInSeconds))
  if (isExceeded) throw tooMany(ttlInSeconds)
}

export function tooMany(seconds: number): Failure {
  return new Failure('throttled', 'too many calls: try again later', { retryAfter: Math.max(1, seconds) })
}

/** How many decisions a tenant asks for in a second, where its settings say how many it may. */
export class DecisionRate {
  readonly #seconds = new Map<string, { second: number; count: number }>()

  /** Fails with `throttled`; `decisions` that are refused together are not counted. `now` in ms. */
  count(tenant: string, atMost: number, now: number, decisions = 1): void {
    const second = Math.floor(now / 1000)
    const known = this.#seconds.get(tenant)
    const count = (known?.second === second ? known.count : 0) + decisions
    if (count > atMost) throw tooMany(1)
    if (known?.second === second) known.count = count
    else this.#seconds.set(tenant, { second, count })
  }
}
