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

declare global {
  // The place that @types/express keeps for what middleware adds.
  namespace Express {
    interface Request {
      /** Of the last guard that let it through, with the obligations of all. */
      decision?: DecisionAnswer
    }
  }
}

/** What is used of a response: Express has it, and so has `node:http`. */
export interface ExpressResponse {
  statusCode: number
  readonly headersSent: boolean
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

export type Middleware<Request, Response> = (
  request: Request,
  response: Response,
  next: (error?: unknown) => void,
) => Promise<void>

export interface ExpressGuardOptions<Request, Response> extends GuardOptions<Request> {
  /** Answers a denied request otherwise. Where it sends nothing, the problem is sent. */
  readonly onDenied?: (denial: Denial, request: Request, response: Response) => unknown
}

export interface ExpressGuard<Request, Response> {
  /** Lets through whom Verdict allows the action on the resource; `asking` is beside what the guard was given, and first. */
  requirePermission<R extends Request>(
    action: string,
    resource: ResourceOf<R>,
    asking?: Asking<R>,
  ): Middleware<R, Response>
  /** Lets through who holds a role; with `resource`, also who holds it within that. A rule has to say so: see docs/client.md. */
  requireRole<R extends Request>(role: string, resource?: ResourceOf<R>, asking?: Asking<R>): Middleware<R, Response>
}

/** Guards for Express, and for whatever else has middleware of its form. */
export function createGuard<Request extends object, Response extends ExpressResponse = ExpressResponse>(
  options: ExpressGuardOptions<Request, Response>,
): ExpressGuard<Request, Response> {
  const { onDenied, ...given } = options
  /** False: it is answered. */
  const judged = async <R extends Request>(
    request: R,
    response: Response,
    action: string,
    resource: ResourceOf<R>,
    asking: Asking<R>,
  ): Promise<boolean> => {
    const { decision, denial } = await judge(request, action, resource, { ...given, ...asking })
    Object.assign(request, { decision })
    if (denial === undefined) return true
    const isAnswered = onDenied !== undefined && (await answers(response, () => onDenied(denial, request, response)))
    if (!isAnswered && !response.headersSent) send(denial, response)
    return false
  }
  const guard =
    <R extends Request>(action: string, resource: ResourceOf<R>, asking: Asking<R>): Middleware<R, Response> =>
    async (request, response, next) => {
      const isLetThrough = await judged(request, response, action, resource, asking).catch((error: unknown) => {
        // Express takes some texts for directions.
        next(error instanceof Error ? error : new Error('the guard failed', { cause: error }))
        return false
      })
      if (isLetThrough) next()
    }
  return {
    requirePermission: (action, resource, asking = {}) => guard(action, resource, asking),
    requireRole: (role, within, asking = {}) => {
      const { action, resource } = roleQuestion(role, within)
      return guard(action, resource, asking)
    },
  }
}

/** What answers later: Express renders and opens files before it sends a header. */
const LATER = ['render', 'sendFile', 'download'] as const

/** Whether it begins an answer that `headersSent` does not tell of yet. */
async function answers(response: object, work: () => unknown): Promise<boolean> {
  const target: Record<string, unknown> = response as Record<string, unknown>
  let isBegun = false
  const own = LATER.filter((name) => typeof target[name] === 'function').map((name) => {
    const before = target[name] as (...given: unknown[]) => unknown
    const isOwn = Object.hasOwn(target, name)
    target[name] = (...given: unknown[]) => {
      isBegun = true
      return before.apply(response, given)
    }
    return () => {
      if (isOwn) target[name] = before
      else delete target[name]
    }
  })
  try {
    await work()
  } finally {
    for (const restore of own) restore()
  }
  return isBegun
}

function send(denial: Denial, response: ExpressResponse): void {
  response.statusCode = denial.status
  response.setHeader('content-type', PROBLEM_TYPE)
  response.end(problemText(denial))
}
