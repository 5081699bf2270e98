import type { FastifyReply } from 'fastify'
import type { Evaluation } from '../../contract/access.ts'
import * as contract from '../../contract/access.ts'
import type { DecisionAnswer } from '../../contract/authorize.ts'
import type { ItemInError } from '../../contract/batch.ts'
import { named, readNamed } from '../batch/reader.ts'
import { answerTo, type BatchRouteParts } from '../batch.ts'
import { callOf } from '../guard.ts'
import type { App } from '../server.ts'
import { nameDecision } from './scope.ts'

/** Access Evaluation and Access Evaluations: the questions of `/v1/authorize` and its batch, in AuthZEN's words. */
export function evaluationRoutes(app: App, parts: BatchRouteParts): void {
  app.route({
    ...contract.evaluation,
    handler: async (request, reply) => {
      const { body } = request
      const answer = await parts.pdp.evaluate(callOf(request), { ...body, subject: named(body.subject) })
      return called(reply, answer, body.options)
    },
  })
  app.route({
    ...contract.evaluations,
    handler: async (request, reply) => {
      const { options } = request.body
      const { one, many } = await answerTo(parts, request, request.body, readNamed)
      if (one !== undefined) return called(reply, one, options)
      const answers = many.answers.all()
      nameDecision(reply, many.id, lowestRevision(answers))
      return { evaluations: answers.map((answer) => evaluationOf(answer, options)) }
    },
  })
}

/** What an answer says beside the decision and its obligations. */
interface Telling {
  readonly reasons?: boolean
  readonly explain_errors?: boolean
}

function called(reply: FastifyReply, answer: DecisionAnswer, options: Telling | undefined): Evaluation {
  nameDecision(reply, answer.context.decision_id, answer.context.revision)
  return evaluationOf(answer, options)
}

/** undefined: none of them was a question. */
function lowestRevision(answers: readonly (DecisionAnswer | ItemInError)[]): number | undefined {
  const revisions = answers.flatMap(({ context }) => ('revision' in context ? [context.revision] : []))
  return revisions.length === 0 ? undefined : Math.min(...revisions)
}

/** Without a context where it would hold nothing. */
function evaluationOf({ decision, context }: DecisionAnswer | ItemInError, options: Telling = {}): Evaluation {
  const { obligations } = context
  const isError = 'error' in context
  const isTold = options.reasons === true
  if (obligations.length === 0 && !isTold && !(isError && options.explain_errors === true)) return { decision }
  return {
    decision,
    context: {
      ...(obligations.length > 0 && { obligations }),
      ...(isTold && reasonsOf(context)),
      ...(isError && options.explain_errors === true && { error: context.error }),
    },
  }
}

/** Without the quotas: what is left of them differs between requests that are equal, whose answers are to be. */
function reasonsOf(
  context: (DecisionAnswer | ItemInError)['context'],
): Pick<NonNullable<Evaluation['context']>, 'reason' | 'rules' | 'warnings'> {
  const { reason, rules } = context
  const warnings = 'warnings' in context ? context.warnings : undefined
  return {
    reason,
    ...(rules !== undefined && { rules }),
    ...(warnings !== undefined && { warnings }),
  }
}
