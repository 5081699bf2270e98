import type { Kysely } from 'kysely'
import type { Redactor } from '../audit/redactor.ts'
import * as contract from '../contract/audit.ts'
import { pageOf } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { getAudit, listAudit } from '../store/audit.ts'
import type { Database } from '../store/schema.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'

export interface AuditParts {
  readonly db: Kysely<Database>
  readonly redactor: Redactor
}

export function auditRoutes(app: App, { db, redactor }: AuditParts): void {
  app.route({
    ...contract.listAudit,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, order = 'desc', decision, ...rest } = request.query
      const filter = { ...rest, ...(decision !== undefined && { decision: decision === 'true' }) }
      const { tenant } = readOf(request)
      return listAudit(db, tenant, filter, { ...pageOf(request.query), order }, redactor.hashIn(tenant))
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
