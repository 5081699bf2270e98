import * as contract from '../contract/mask.ts'
import type { MaskRecord } from '../pdp/mask.ts'
import { callOf } from './guard.ts'
import type { App } from './server.ts'

export function maskRoutes(app: App, mask: MaskRecord): void {
  app.route({
    ...contract.maskRecord,
    handler: (request) => mask(callOf(request), request.body),
  })
}
