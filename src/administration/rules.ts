import type { Kysely } from 'kysely'
import type { Problem } from '../failure.ts'
import { BUILT_IN_POLICIES, type Rule } from '../policy/model.ts'
import { checkRule } from '../policy/parse.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { policies } from '../store/policies.ts'
import { listRules, type RuleFilter, rules } from '../store/rules.ts'
import type { Database } from '../store/schema.ts'
import type { Changer } from './change.ts'
import { createDocument, type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { normalRule, policyOf } from './normal.ts'
import { abnormalResources } from './operations.ts'
import { type Naming, unknownRoles } from './references.ts'
import { notFound } from './refusal.ts'
import { type Readable, readable, type Written } from './representation.ts'
import { undeclaredNames } from './undeclared.ts'
import { vagueRule } from './vague.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface RuleAdministration {
  list(read: Read, filter: RuleFilter, page: Page): Promise<Listed<Readable<Rule>>>
  get(read: Read, name: string): Promise<Found<Readable<Rule>>>
  create(write: Write, rule: Rule): Promise<Answer<Written<Rule>>>
  put(write: Write, rule: Rule): Promise<Answer<Written<Rule>>>
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function ruleAdministration({ db, faultOf }: Parts, change: Changer): RuleAdministration {
  const asRead = (tenant: string, stored: Stored<Rule>) =>
    readable(
      'rule',
      { ...stored, document: normalRule(stored.document) },
      faultOf(tenant, 'rule', stored.document.name),
    )
  return {
    async list({ tenant }, filter, page) {
      const { items, next_cursor } = await listRules(db.of(tenant), tenant, filter, page)
      return { items: items.map((one) => asRead(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = await rules.get(db.of(tenant), tenant, name)
      if (found === undefined) throw notFound(`rule ${name}`)
      return { body: asRead(tenant, found), version: found.version }
    },
    create: (write, rule) => change(write, (at) => createDocument(RULE, at, rule)),
    put: (write, rule) => change(write, (at) => putDocument(RULE, at, rule)),
    delete: (write, name) => change(write, (at) => deleteDocument(RULE, at, name)),
  }
}

const RULE: DocumentKind<Rule> = {
  noun: 'rule',
  table: rules,
  normal: normalRule,
  async check(change, rule) {
    const { trx, tenant } = change
    const roles = await unknownRoles(trx, tenant, rolesOfSubjects(rule))
    const ids = [...(await vagueRule(change, rule)), ...(await abnormalResources(change, rule))]
    return [...checkRule(rule), ...(await unknownPolicy(trx, tenant, rule)), ...roles, ...ids]
  },
  warnings: undeclaredNames,
  logged: (name, operation, before, after) => ({ kind: 'rule', key: { name }, operation, before, after }),
  // Nothing refers to a rule.
  async refuseUsed() {},
}

export function rolesOfSubjects(rule: Rule): Naming[] {
  return rule.subjects.flatMap((subject, place) =>
    'role' in subject ? [{ pointer: `/subjects/${place}/role`, name: subject.role }] : [],
  )
}

// Which of the built-in policies takes rules is checkRule's business.
export function isBuiltInPolicy(name: string): boolean {
  return name === 'pdp' || (BUILT_IN_POLICIES as readonly string[]).includes(name)
}

async function unknownPolicy(db: Kysely<Database>, tenant: string, rule: Rule): Promise<Problem[]> {
  const policy = policyOf(rule)
  if (isBuiltInPolicy(policy) || (await policies.known(db, tenant, [policy])).has(policy)) return []
  return [{ pointer: '/policy', detail: `there is no policy ${policy}` }]
}
