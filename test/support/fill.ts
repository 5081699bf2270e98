import { readBundle } from '../../src/administration/bundle.ts'
import { type Administration, createAdministration } from '../../src/administration.ts'
import { Redactor } from '../../src/audit/redactor.ts'
import { passwordHasher } from '../../src/authn/password/hasher.ts'
import type { Bundle } from '../../src/policy/model.ts'
import { VagueRules } from '../../src/policy/vague-rules.ts'
import type { TestService } from './service.ts'

const WRITER = '01990000-0000-7000-8000-00000000f111'

/**
 * Puts bundles into tenants of a running service, as the start does with a preset. The service finds the new revision
 * by itself; who asks names it in `min_revision`.
 */
export async function filling({ database: { db } }: TestService) {
  await db.insertInto('audit_writers').values({ writer: WRITER }).execute()
  const administration: Administration = createAdministration({
    db,
    hasher: passwordHasher(),
    masterKey: Buffer.alloc(32),
    writer: WRITER,
    announce: async () => undefined,
    applied: async () => true,
    vagueRules: async () => new VagueRules(),
    faultOf: () => undefined,
    clock: () => new Date(),
    redactor: new Redactor(Buffer.alloc(32)),
    warn: (error) => {
      throw error
    },
  })
  return async (tenant: string, bundle: Bundle): Promise<number> => {
    const { revision } = await administration.bundle.apply(
      {
        caller: { tenant, subject: { type: 'service', id: 'test' }, key_id: null, roles: ['pdp:admin'] },
        tenant,
        permission: { type: 'pdp:bundle', action: 'pdp:write' },
        origin: { ip: null, user_agent: null, request_id: null, trace_id: null },
        reason: null,
        idempotency: null,
        if_match: null,
      },
      readBundle(bundle),
    )
    return revision
  }
}
