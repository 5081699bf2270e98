import type { FastifyInstance, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import type { DecisionAnswer } from '../contract/authorize.ts'
import {
  type Asking,
  type Denial,
  type GuardOptions,
  judge,
  PROBLEM_TYPE,
  problemText,
  type ResourceOf,
  roleQuestion,
} from './guard.ts'

export type { Asking, Denial, ResourceOf } from './guard.ts'

export interface FastifyGuardOptions extends GuardOptions<FastifyRequest> {
  /** Answers a denied request otherwise. Where it sends nothing, the problem is sent. */
  readonly onDenied?: (denial: Denial, request: FastifyRequest, reply: FastifyReply) => unknown
}

type Requested<R extends RouteGenericInterface> = FastifyRequest<R>

/** Stands before a handler: `preHandler: app.requirePermission(…)`. */
export type Guard<R extends RouteGenericInterface> = (request: Requested<R>, reply: FastifyReply) => Promise<unknown>

/** Lets through whom Verdict allows the action on the resource; `asking` is beside what the plugin was given, and first. */
export type RequirePermission = <R extends RouteGenericInterface = RouteGenericInterface>(
  action: string,
  resource: ResourceOf<Requested<R>>,
  asking?: Asking<Requested<R>>,
) => Guard<R>

/** Lets through who holds a role; with `resource`, also who holds it within that. A rule has to say so: see docs/client.md. */
export type RequireRole = <R extends RouteGenericInterface = RouteGenericInterface>(
  role: string,
  resource?: ResourceOf<Requested<R>>,
  asking?: Asking<Requested<R>>,
) => Guard<R>

declare module 'fastify' {
  interface FastifyInstance {
    requirePermission: RequirePermission
    requireRole: RequireRole
  }
  interface FastifyRequest {
    /** Of the last guard that let it through, with the obligations of all; null where none stands. */
    decision: DecisionAnswer | null
  }
}

async function verdict(app: FastifyInstance, options: FastifyGuardOptions): Promise<void> {
  const { onDenied, ...given } = options
  const guard =
    <R extends RouteGenericInterface>(
      action: string,
      resource: ResourceOf<Requested<R>>,
      asking: Asking<Requested<R>>,
    ): Guard<R> =>
    async (request, reply) => {
      const { decision, denial } = await judge(request, action, resource, { ...given, ...asking })
      request.decision = decision ?? null
      return denial === undefined ? undefined : refused(denial, request, reply)
    }
  const refused = async (denial: Denial, request: FastifyRequest, reply: FastifyReply) => {
    const isAnswered = onDenied !== undefined && (await answers(reply, () => onDenied(denial, request, reply)))
    if (!isAnswered && !reply.sent) reply.code(denial.status).type(PROBLEM_TYPE).send(problemText(denial))
    return reply
  }
  const requirePermission: RequirePermission = (action, resource, asking = {}) => guard(action, resource, asking)
  const requireRole: RequireRole = (role, within, asking = {}) => {
    const { action, resource } = roleQuestion(role, within)
    return guard(action, resource, asking)
  }
  app.decorateRequest('decision', null)
  app.decorate('requirePermission', requirePermission)
  app.decorate('requireRole', requireRole)
}

/** Whether it sends something. `reply.sent` is false until the last byte: asynchronous hooks and streams come between. */
async function answers(reply: FastifyReply, work: () => unknown): Promise<boolean> {
  const { send } = reply
  let isSent = false
  reply.send = (payload) => {
    isSent = true
    reply.send = send
    return send.call(reply, payload)
  }
  try {
    await work()
  } finally {
    reply.send = send
  }
  return isSent
}

/** The plugin. What it adds is there for the whole application, not for a scope of its own. */
export default Object.assign(verdict, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'verdict',
  [Symbol.for('plugin-meta')]: { name: 'verdict', fastify: '5.x' },
})
