import type { Kysely } from 'kysely'
import type { Redactor } from '../audit/redactor.ts'
import * as contract from '../contract/audit.ts'
import { pageOf } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { getAudit, listAudit } from '../store/audit.ts'
import type { Database } from '../store/schema.ts'
import { filterOf } from './audit-query.ts'
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
      const { tenant } = readOf(request)
      const page = { ...pageOf(request.query), order: request.query.order ?? 'desc' }
      return listAudit(db, tenant, filterOf(request.query), page, redactor.hashIn(tenant))
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
