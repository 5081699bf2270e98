import type { FastifyRequest } from 'fastify'
import type { DecisionAnswer, DecisionRequest } from '../contract/authorize.ts'
import * as contract from '../contract/batch.ts'
import type { BatchDecision } from '../pdp/batch.ts'
import type { Pdp } from '../pdp.ts'
import type { ReadPart } from './batch/parts.ts'
import { type BatchBody, readItems, readSingle, readSubject } from './batch/reader.ts'
import { routed, routingOf, selectedOf } from './batch/routing.ts'
import { callOf } from './guard.ts'
import type { App } from './server.ts'
import type { DecisionRate } from './throttle.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

export interface BatchRouteParts {
  readonly pdp: Pdp
  readonly rates: DecisionRate
  /** ms since the epoch. */
  readonly clock: () => number
}

/** What a body without items comes to, and one with some. */
export type Answered =
  | { readonly one: DecisionAnswer; readonly many?: undefined }
  | { readonly many: BatchDecision; readonly one?: undefined }

export function batchRoutes(app: App, parts: BatchRouteParts): void {
  app.route({
    ...contract.authorizeBatch,
    handler: async (request, reply) => {
      const routing = routingOf(request.body)
      const body = routing === undefined ? request.body : routed(request.body)
      const { one, many } = await answerTo(parts, request, body, readSubject)
      if (one !== undefined) return one
      const { decision, answers } = many
      if (routing === undefined) {
        return reply.type(JSON_TYPE).send(`{"decision":${decision},"evaluations":${answers.json()}}`)
      }
      const evaluations = answers.all()
      return { decision, evaluations, selected: selectedOf(evaluations, routing) }
    },
  })
}

/** Decides what a body asks: its items, or itself where it has none. */
export async function answerTo(
  { pdp, rates, clock }: BatchRouteParts,
  request: FastifyRequest,
  body: BatchBody,
  subjects: ReadPart<DecisionRequest['subject']>,
): Promise<Answered> {
  const call = callOf(request)
  const { evaluations = [], options } = body
  if (evaluations.length === 0) return { one: await pdp.evaluate(call, readSingle(body, subjects)) }
  const items = readItems(body, subjects)
  // The call itself was counted when it came.
  if (call.decisions_per_second !== null) {
    rates.count(call.tenant, call.decisions_per_second, clock(), items.length - 1)
  }
  const semantic = options?.evaluations_semantic ?? 'execute_all'
  return { many: await pdp.evaluateAll(call, { items, semantic, options }) }
}
