import type { Kysely } from 'kysely'
import type { Redactor } from '../audit/redactor.ts'
import * as contract from '../contract/audit-reading.ts'
import { auditStats } from '../store/audit-stats.ts'
import type { Database } from '../store/schema.ts'
import { filterOf } from './audit-query.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'

export interface AuditStatsParts {
  readonly reading: Kysely<Database>
  readonly redactor: Redactor
  readonly clock: () => number
}

const TOP = '10'

export function auditStatsRoutes(app: App, { reading, redactor, clock }: AuditStatsParts): void {
  app.route({
    ...contract.auditStats,
    handler: (request) => {
      const { tenant } = readOf(request)
      const { bucket = 'hour', by = null, top = TOP } = request.query
      const question = { filter: filterOf(request.query), bucket, by, top: Number(top) }
      return auditStats(reading, tenant, question, clock(), redactor.hashIn(tenant))
    },
  })
}
