import { keysOf } from '../authn/issuer/keys.ts'
import type { Problem } from '../failure.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import { checkIssuer, type Issuer, type IssuerWithDefaults, normalIssuer } from '../policy/issuer.ts'
import { isReadable } from '../policy/soundness.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { issuers, nameOfIssuer } from '../store/issuers.ts'
import { problemOfBuiltInRole } from './assignments.ts'
import type { Change, Changer } from './change.ts'
import { type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { unknownRoles } from './references.ts'
import { notFound } from './refusal.ts'
import { type Readable, readable, type Shown } from './representation.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface IssuerAdministration {
  list(read: Read, page: Page): Promise<Listed<Readable<Issuer>>>
  get(read: Read, name: string): Promise<Found<Readable<Issuer>>>
  /** Whatever changes: what its tokens have given so far ends. */
  put(write: Write, issuer: Issuer): Promise<Answer<Shown<Issuer>>>
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function issuerAdministration({ db, faultOf }: Parts, change: Changer): IssuerAdministration {
  const asRead = (tenant: string, { document, ...rest }: Stored<Issuer>) =>
    readable('issuer', { ...rest, document: stored(document) }, faultOf(tenant, 'issuer', document.name))
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await issuers.list(db.of(tenant), tenant, page)
      return { items: items.map((one) => asRead(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = await issuers.get(db.of(tenant), tenant, name)
      if (found === undefined) throw notFound(`issuer ${name}`)
      return { body: asRead(tenant, found), version: found.version }
    },
    put: (write, issuer) => change(write, (at) => putDocument(ISSUER, at, issuer)),
    delete: (write, name) => change(write, (at) => deleteDocument(ISSUER, at, name)),
  }
}

const ISSUER: DocumentKind<Issuer> = {
  noun: 'issuer',
  table: issuers,
  normal: stored,
  async check(change, issuer) {
    const problems = checkIssuer(issuer)
    return [
      ...problems,
      ...(problems.length === 0 ? await keyProblems(normalIssuer(issuer)) : []),
      ...(await roleProblems(change, issuer)),
      ...(await nameProblems(change, issuer)),
    ]
  },
  logged: (name, operation, before, after) => ({ kind: 'issuer', key: { name }, operation, before, after }),
  async refuseUsed() {},
}

// jsonb keeps the members of an object in an order of its own, and no -0.
function stored(issuer: Issuer): Issuer {
  if (!isReadable('issuer', issuer)) return issuer
  return JSON.parse(JSON.stringify(normalIssuer(issuer)))
}

async function keyProblems({ jwks, algorithms }: IssuerWithDefaults): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const [place, key] of (jwks?.keys ?? []).entries()) {
    if ((await keysOf(key, algorithms)).length > 0) continue
    const detail = `is no public key that verifies by one of ${algorithms.join(', ')}`
    problems.push({ pointer: `/jwks/keys/${place}`, detail })
  }
  return problems
}

async function roleProblems({ trx, tenant }: Change, { allowed_roles = [] }: Issuer): Promise<Problem[]> {
  const namings = allowed_roles.map((name, place) => ({ pointer: `/allowed_roles/${place}`, name }))
  const ours = namings.flatMap(({ pointer, name }) => {
    const detail = isBuiltIn(name) ? problemOfBuiltInRole(tenant, name) : undefined
    return detail === undefined ? [] : [{ pointer, detail }]
  })
  return [...ours, ...(await unknownRoles(trx, tenant, namings))]
}

async function nameProblems({ trx, tenant }: Change, { name, issuer }: Issuer): Promise<Problem[]> {
  const other = await nameOfIssuer(trx, tenant, issuer)
  if (other === undefined || other === name) return []
  return [{ pointer: '/issuer', detail: `is registered already, as ${other}` }]
}
