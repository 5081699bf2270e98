import { Failure } from '../failure.ts'
import { BUILT_IN_POLICIES, type Policy } from '../policy/model.ts'
import { checkPolicy } from '../policy/parse.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { listPolicies, policies, rulesOfPolicy } from '../store/policies.ts'
import { getTenant } from '../store/tenants.ts'
import type { Changer } from './change.ts'
import { type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { normalPolicy } from './normal.ts'
import { NAMED, notFound, refuseUsed } from './refusal.ts'
import { type Readable, readable, type Shown } from './representation.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export type ShownPolicy = Shown<Policy> & { readonly built_in: boolean }
export type ReadPolicy = Readable<Policy> & { readonly built_in: boolean }

export interface PolicyAdministration {
  list(read: Read, page: Page): Promise<Listed<ReadPolicy>>
  /** A built-in policy that the tenant has not set is there with its defaults, in version 0. */
  get(read: Read, name: string): Promise<Found<ReadPolicy>>
  put(write: Write, policy: Policy): Promise<Answer<ShownPolicy>>
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function policyAdministration({ db, faultOf }: Parts, change: Changer): PolicyAdministration {
  const readPolicy = (tenant: string, stored: Stored<Policy>): ReadPolicy => {
    const { name } = stored.document
    const body = readable(
      'policy',
      { ...stored, document: normalPolicy(stored.document) },
      faultOf(tenant, 'policy', name),
    )
    return { ...body, built_in: isBuiltIn(name) }
  }
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await listPolicies(db, tenant, DEFAULTS, page)
      return { items: items.map((one) => readPolicy(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = (await policies.get(db, tenant, name)) ?? unset(name, (await getTenant(db, tenant))?.created_at)
      if (found === undefined) throw notFound(`policy ${name}`)
      return { body: readPolicy(tenant, found), version: found.version }
    },
    put: (write, policy) =>
      change<ShownPolicy>(write, async (at) => {
        const { body, ...outcome } = await putDocument(POLICY, at, policy, unset(policy.name, at.found.created_at))
        return {
          status: outcome.status,
          version: outcome.version,
          id: outcome.id,
          body: { ...body, built_in: isBuiltIn(policy.name) },
        }
      }),
    delete: (write, name) => change(write, (at) => deleteDocument(POLICY, at, refuseBuiltIn(name))),
  }
}

const DEFAULTS: readonly Policy[] = BUILT_IN_POLICIES.map((name) => normalPolicy({ name }))

const POLICY: DocumentKind<Policy> = {
  noun: 'policy',
  table: policies,
  normal: normalPolicy,
  check: async (_, policy) => checkPolicy(policy),
  logged: (name, operation, before, after) => ({ kind: 'policy', key: { name }, operation, before, after }),
  async refuseUsed({ trx, tenant }, name) {
    const used = await rulesOfPolicy(trx, tenant, name, NAMED + 1)
    refuseUsed(
      `policy ${name}`,
      used.map((rule) => `rule ${rule}`),
    )
  },
}

function isBuiltIn(name: string): boolean {
  return (BUILT_IN_POLICIES as readonly string[]).includes(name)
}

function unset(name: string, since: Date | undefined): Stored<Policy> | undefined {
  const document = DEFAULTS.find((policy) => policy.name === name)
  if (document === undefined || since === undefined) return undefined
  return { document, version: 0, created_at: since, updated_at: since }
}

function refuseBuiltIn(name: string): string {
  if (isBuiltIn(name)) throw new Failure('conflict', `the policy ${name} is built in: it can be set, not deleted`)
  return name
}
