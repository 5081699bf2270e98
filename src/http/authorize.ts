import * as contract from '../contract/authorize.ts'
import { explain } from '../contract/explain.ts'
import type { Pdp } from '../pdp.ts'
import { callOf } from './guard.ts'
import type { App } from './server.ts'

export function authorizeRoutes(app: App, pdp: Pdp): void {
  app.route({
    ...contract.authorize,
    handler: (request) => pdp.evaluate(callOf(request), request.body),
  })
  app.route({
    ...explain,
    handler: async (request) => {
      const call = callOf(request)
      const answer = await pdp.explain(call, request.body)
      call.recorded = true
      return answer
    },
  })
}
