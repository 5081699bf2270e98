import * as contract from '../contract/authorize-operation.ts'
import type { AuthorizeOperation } from '../pdp/operation.ts'
import { refuseRepeated } from './batch/reader.ts'
import { callOf } from './guard.ts'
import type { App } from './server.ts'
import type { DecisionRate } from './throttle.ts'

export interface OperationRouteParts {
  readonly operation: AuthorizeOperation
  readonly rates: DecisionRate
  /** ms since the epoch. */
  readonly clock: () => number
}

export function authorizeOperationRoutes(app: App, { operation, rates, clock }: OperationRouteParts): void {
  app.route({
    ...contract.authorizeOperation,
    handler: (request) => {
      const call = callOf(request)
      const { subject, context, permissions } = request.body
      refuseRepeated(permissions.length * JSON.stringify([subject, context]).length)
      // The call itself was counted when it came.
      if (call.decisions_per_second !== null) {
        rates.count(call.tenant, call.decisions_per_second, clock(), permissions.length - 1)
      }
      return operation(call, request.body)
    },
  })
}
