import * as contract from '../contract/authorize.ts'
import type { Pdp } from '../pdp.ts'
import { callOf } from './guard.ts'
import type { App } from './server.ts'

export function authorizeRoutes(app: App, pdp: Pdp): void {
  app.route({
    ...contract.authorize,
    handler: (request) => pdp.evaluate(callOf(request), request.body),
  })
}
