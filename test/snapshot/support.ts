import { randomUUID } from 'node:crypto'
import { Failure, type FailureCode } from '../../src/failure.ts'
import type { GivenAssignment } from '../../src/policy/change.ts'
import { type EntityFacts, type EntityNode, gatherFacts, unknownEntity } from '../../src/policy/entity-graph.ts'
import type { EntityRef, Settings } from '../../src/policy/model.ts'
import { WholeTenant } from '../../src/snapshot/entity-cache.ts'
import { follow } from '../../src/snapshot/entity-node.ts'
import { Snapshots, type SnapshotsOptions } from '../../src/snapshot/snapshots.ts'
import {
  type ApiKey,
  apiKey,
  type LoadedIssuer,
  type LoggedChange,
  type Revision,
  type RevisionId,
  type Source,
  type StoredDocument,
  type StoredEntity,
  type TenantStatus,
} from '../../src/snapshot/source.ts'

export const user = (id: string): EntityRef => ({ type: 'user', id })
export const group = (id: string): EntityRef => ({ type: 'group', id })
export const doc = (id: string): EntityRef => ({ type: 'document', id })

export function entity({ type, id }: EntityRef, parents: readonly EntityRef[] = [], more: object = {}): LoggedChange {
  const after = { type, id, properties: {}, parents: [...parents], disabled: false, ...more }
  return { kind: 'entity', key: { type, id }, operation: 'create', before: null, after }
}

export function noEntity({ type, id }: EntityRef): LoggedChange {
  return { kind: 'entity', key: { type, id }, operation: 'delete', before: { type, id }, after: null }
}

export function assigned(subject: EntityRef, role: string, more: Partial<GivenAssignment> = {}): GivenAssignment {
  return { id: randomUUID(), subject: { ...subject }, role, granted_by: { type: 'user', id: 'admin' }, ...more }
}

export function assignment(after: GivenAssignment): LoggedChange {
  return { kind: 'assignment', key: { id: after.id }, operation: 'create', before: null, after }
}

export function noAssignment(before: GivenAssignment): LoggedChange {
  return { kind: 'assignment', key: { id: before.id }, operation: 'delete', before, after: null }
}

const MADE = new Date('2030-01-01T00:00:00Z')

export function key(id: string, subject: EntityRef = user('alice')): LoggedChange {
  const after = { id, name: id, subject, roles: null, expires_at: null }
  return {
    kind: 'api_key',
    key: { id },
    operation: 'create',
    before: null,
    after,
    secret_sha256: Buffer.alloc(32, id),
    made: MADE,
  }
}

export function tenantStatus(id: string, status: TenantStatus): LoggedChange {
  return { kind: 'tenant', key: { id }, operation: 'update', before: null, after: { id, name: id, status } }
}

/** A tenant with all the revisions that it ever had, by their ids: a restored database has another history. */
class FakeTenant {
  status: TenantStatus = 'active'
  log: readonly Revision[] = []
  revision_id: string = randomUUID()
  readonly histories = new Map<string, readonly Revision[]>()
  readonly id: string

  constructor(id: string) {
    this.id = id
    this.histories.set(this.revision_id, [])
  }

  get revision(): number {
    return this.log.length
  }

  write(...changes: LoggedChange[]): number {
    this.revision_id = randomUUID()
    this.log = [...this.log, { revision: this.log.length + 1, revision_id: this.revision_id, changes }]
    this.histories.set(this.revision_id, this.log)
    return this.revision
  }

  /** As a restored database is: some of the past, and another future. */
  restore(revision: number): void {
    this.log = this.log.slice(0, revision)
    this.revision_id = this.log.at(-1)?.revision_id ?? this.revision_id
  }

  /** Its entities, by nothing but the log. */
  entities(revision_id = this.revision_id): WholeTenant {
    const nodes = new WholeTenant(() => {})
    for (const { changes } of this.histories.get(revision_id) ?? []) for (const change of changes) follow(nodes, change)
    return nodes
  }

  /** The names of its rules, by nothing but the log. */
  rules(revision_id: string): Set<string> {
    const names = new Set<string>()
    for (const { kind, key, after } of (this.histories.get(revision_id) ?? []).flatMap(({ changes }) => changes)) {
      if (kind !== 'rule') continue
      if (after === null) names.delete(key.name)
      else names.add(key.name)
    }
    return names
  }

  facts(revision_id: string, ref: EntityRef): EntityFacts {
    const nodes = this.entities(revision_id)
    return gatherFacts((type, id) => nodes.get(type, id), ref, [])
  }

  keys(): ApiKey[] {
    const keys = new Map<string, ApiKey>()
    for (const change of this.log.flatMap(({ changes }) => changes)) {
      if (change.kind !== 'api_key') continue
      if (change.after && change.secret_sha256 && change.made)
        keys.set(change.key.id, apiKey(this.id, change.after, change.secret_sha256, change.made))
      else keys.delete(change.key.id)
    }
    return [...keys.values()]
  }
}

export type Statement = Exclude<keyof Source, 'toString'>

const KINDS_OF_POLICY = ['settings', 'type', 'policy', 'role', 'rule', 'quota'] as const
const OF_POLICY = new Set<string>(KINDS_OF_POLICY)
const ENTITIES_IN_A_PART = 5

function stored({ type, id, known, disabled, properties, parents, assignments }: EntityNode): StoredEntity {
  const text = JSON.stringify
  return {
    type,
    id,
    known,
    disabled,
    properties: text(properties),
    parents: text(parents),
    assignments: text(assignments),
  }
}

/** A database in memory. A statement reads at one moment between its sending and its answer; `pace` spaces these. */
export class FakeDatabase implements Source {
  readonly tenants = new Map<string, FakeTenant>()
  /** How often each statement was sent. */
  readonly asked: Record<Statement, number> = {
    standing: 0,
    policy: 0,
    apiKeys: 0,
    issuers: 0,
    fits: 0,
    entities: 0,
    loadEntities: 0,
    idsOf: 0,
    revisions: 0,
    changesAfter: 0,
    changesOf: 0,
    tenantsOfApiKeys: 0,
  }
  pace: (statement: Statement) => Promise<void> = () => Promise.resolve()
  away = false

  tenant(id: string): FakeTenant {
    let tenant = this.tenants.get(id)
    if (tenant === undefined) {
      tenant = new FakeTenant(id)
      this.tenants.set(id, tenant)
    }
    return tenant
  }

  standing(id: string) {
    return this.#run('standing', () => this.#standing(id))
  }

  /** Kind by kind, each as it stands when its turn comes. */
  async *policy(id: string) {
    for (const kind of KINDS_OF_POLICY) {
      yield await this.#run('policy', () => {
        const documents = new Map<string, StoredDocument>()
        for (const { kind: of, key, after } of this.tenant(id).log.flatMap(({ changes }) => changes)) {
          const name = key !== null && 'name' in key ? key.name : ''
          if (of !== kind) continue
          if (after === null) documents.delete(name)
          else documents.set(name, { kind, name, text: JSON.stringify(after) })
        }
        return [...documents.values()]
      })
    }
  }

  apiKeys(id: string) {
    return this.#run('apiKeys', () => this.tenant(id).keys())
  }

  issuers(id: string) {
    return this.#run('issuers', () => {
      const issuers = new Map<string, LoadedIssuer>()
      for (const { revision, changes } of this.tenant(id).log) {
        for (const { kind, key, after } of changes) {
          if (kind !== 'issuer') continue
          if (after === null) issuers.delete(key.name)
          else issuers.set(key.name, { name: key.name, document: after, version: revision })
        }
      }
      return [...issuers.values()]
    })
  }

  fits(id: string, room: number) {
    return this.#run('fits', () => {
      const nodes = [...this.tenant(id).entities().values()]
      return nodes.reduce((sum, node) => sum + (node.known ? 1 : 0) + node.assignments.length, 0) <= room
    })
  }

  /** A few at a time, in no order but that of their names, each as it stands then. */
  async *entities(id: string) {
    for (let last = ''; ; ) {
      const part = await this.#run('entities', () =>
        [...this.tenant(id).entities().values()]
          .map((node) => ({ place: JSON.stringify([node.type, node.id]), node }))
          .filter(({ place }) => place > last)
          .sort((one, other) => (one.place < other.place ? -1 : 1))
          .slice(0, ENTITIES_IN_A_PART),
      )
      yield part.map(({ node }) => stored(node))
      last = part.at(-1)?.place ?? ''
      if (part.length < ENTITIES_IN_A_PART) return
    }
  }

  loadEntities(id: string, refs: readonly EntityRef[]) {
    return this.#run('loadEntities', () => {
      const tenant = this.tenants.get(id)
      if (tenant === undefined) return undefined
      const nodes = new Map<string, EntityNode>()
      const stored = tenant.entities()
      const add = (ref: EntityRef): void => {
        const name = JSON.stringify([ref.type, ref.id])
        if (nodes.has(name)) return
        const node = stored.get(ref.type, ref.id) ?? unknownEntity(ref.type, ref.id)
        nodes.set(name, node)
        for (const parent of node.parents) add(parent)
      }
      for (const ref of refs) add(ref)
      return { revision: tenant.revision, revision_id: tenant.revision_id, nodes: [...nodes.values()] }
    })
  }

  idsOf(id: string, type: string, after: string, limit: number) {
    return this.#run('idsOf', () => {
      const tenant = this.tenants.get(id)
      if (tenant === undefined) return undefined
      const ids = [...tenant.entities().values()]
        .filter((node) => node.known && node.type === type && node.id > after)
        .map((node) => node.id)
        .sort()
      return { revision: tenant.revision, revision_id: tenant.revision_id, ids: ids.slice(0, limit) }
    })
  }

  revisions(ids: readonly string[]) {
    return this.#run('revisions', () => ids.flatMap((id) => this.#standing(id) ?? []))
  }

  changesAfter(id: string, revision: number, limit: number) {
    return this.#run('changesAfter', () => {
      const { log } = this.tenant(id)
      const revisions: Revision[] = []
      let room = limit
      for (const next of log.slice(revision)) {
        room -= next.changes.length
        if (room < 0) break
        revisions.push(next)
      }
      const next = revisions.length > 0 ? undefined : log[revision]
      const big = next === undefined ? null : { revision: next.revision, revision_id: next.revision_id }
      return { anchor: log[revision - 1]?.revision_id ?? null, revisions, big }
    })
  }

  /** Two changes at a time. */
  changesOf(id: string, { revision, revision_id }: RevisionId, place: number, policy: boolean) {
    return this.#run('changesOf', () => {
      const found = this.tenant(id).log[revision - 1]
      if (found?.revision_id !== revision_id) return undefined
      const all = found.changes
      const changes = all.slice(place, place + 2).filter(({ kind }) => policy || !OF_POLICY.has(kind))
      return { changes, next: place + 2 < all.length ? place + 2 : null }
    })
  }

  tenantsOfApiKeys(ids: readonly string[]) {
    return this.#run('tenantsOfApiKeys', () => {
      const homes = [...this.tenants.values()].flatMap((tenant) =>
        tenant.keys().map(({ id }) => [id, tenant.id] as const),
      )
      return new Map(homes.filter(([id]) => ids.includes(id)))
    })
  }

  #standing(id: string) {
    const tenant = this.tenants.get(id)
    if (tenant === undefined) return undefined
    const { status, revision, revision_id } = tenant
    return { id, status, revision, revision_id }
  }

  async #run<T>(statement: Statement, read: () => T): Promise<T> {
    this.asked[statement]++
    await this.pace(statement)
    if (this.away) throw new Error('the database is away')
    const answer = read()
    await this.pace(statement)
    return answer
  }
}

/** Memory over a fake database, which polls only when it is told to. */
export function over(source: Source, options: Partial<SnapshotsOptions> = {}): Snapshots {
  return new Snapshots({ source, entities: 1000, maxStaleness: 300_000, interval: 1_000_000, ...options })
}

export function type(name: string, stored: 'maybe' | 'never'): LoggedChange {
  return { kind: 'type', key: { name }, operation: 'create', before: null, after: { name, stored } }
}

export function rule(name: string, more: object = {}): LoggedChange {
  const after = {
    name,
    effect: 'allow' as const,
    subjects: [{ any: true as const }],
    actions: ['read'],
    resources: [{ type: 'document' }],
    ...more,
  }
  return { kind: 'rule', key: { name }, operation: 'create', before: null, after }
}

export function noRule(name: string): LoggedChange {
  return { kind: 'rule', key: { name }, operation: 'delete', before: null, after: null }
}

export function settings(after: Settings): LoggedChange {
  return { kind: 'settings', key: null, operation: 'update', before: null, after }
}

/** The code that something fails with; undefined if it does not. */
export async function failure(what: unknown): Promise<FailureCode | undefined> {
  try {
    await (typeof what === 'function' ? what() : what)
    return undefined
  } catch (error) {
    if (error instanceof Failure) return error.code
    throw error
  }
}

export function noKey(id: string): LoggedChange {
  return { kind: 'api_key', key: { id }, operation: 'delete', before: null, after: null }
}
