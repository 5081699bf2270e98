import type { Kysely } from 'kysely'
import * as contract from '../contract/audit.ts'
import { pageOf } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { getAudit, listAudit } from '../store/audit.ts'
import type { Database } from '../store/schema.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'

export function auditRoutes(app: App, db: Kysely<Database>): void {
  app.route({
    ...contract.listAudit,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, order = 'desc', decision, ...rest } = request.query
      const filter = { ...rest, ...(decision !== undefined && { decision: decision === 'true' }) }
      return listAudit(db, readOf(request).tenant, filter, { ...pageOf(request.query), order })
    },
  })
  app.route({
    ...contract.getAudit,
    handler: async (request) => {
      const found = await getAudit(db, readOf(request).tenant, request.params.id)
      if (found === undefined) throw new Failure('not_found', 'there is no such audit record')
      return found
    },
  })
}
