import { Registrations } from '../authn/issuer/registrations.ts'
import type { GivenAssignment } from '../policy/change.ts'
import { type EntityFacts, type EntityNode, gatherFacts, type Lookup, unknownEntity } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import type { PolicyIndex } from '../policy/policy-index.ts'
import type { Fault, Quarantined } from '../policy/quarantine.ts'
import type { Directory } from '../policy/search/directory.ts'
import type { Draft } from './draft.ts'
import type { EntityCache, TenantEntities, WholeTenant } from './entity-cache.ts'
import { follow } from './entity-node.ts'
import type { Fill, Roll } from './fill.ts'
import { type Filled, Fills } from './fills.ts'
import { KeptFacts } from './kept-facts.ts'
import { Layered, type Overlay } from './overlay.ts'
import type { Slices } from './slices.ts'
import {
  type ApiKey,
  apiKey,
  type LoadedEntities,
  type LoggedChange,
  type Revision,
  type RevisionId,
  type TenantStatus,
} from './source.ts'
import type { LoadedTenant } from './tenant-load.ts'

/** What a tenant in memory needs of the process around it. */
export interface Surroundings {
  load(tenant: string, refs: readonly EntityRef[]): Promise<LoadedEntities | undefined>
  reach(tenant: string, revision: number): Promise<void>
  diverged(tenant: TenantSnapshot, found: RevisionId | undefined): void
}

// As many facts of entities that are in something or hold something are kept, and as many again.
const FACTS_KEPT = 4096

/** One tenant in memory, at one revision: it goes from a revision to the next within one turn. */
export class TenantSnapshot implements Filled {
  readonly id: string
  /** The issuers that it trusts. */
  readonly issuers = new Registrations()
  status: TenantStatus
  /** When the database last confirmed that this is where the tenant stands: ms, on the process's own clock. */
  confirmed_at: number
  #index: PolicyIndex
  #revision: number
  #revision_id: string
  #entities: TenantEntities
  #whole: WholeTenant | undefined
  #left = false
  #never: ReadonlySet<string> = new Set()
  readonly #api_keys: Map<string, ApiKey>
  readonly #kept = new KeptFacts(FACTS_KEPT)
  readonly #fills = new Fills(this)
  readonly #cache: EntityCache
  readonly #surroundings: Surroundings

  constructor(loaded: LoadedTenant, status: TenantStatus, at: number, cache: EntityCache, surroundings: Surroundings) {
    this.id = loaded.id
    this.status = status
    this.confirmed_at = at
    this.#index = loaded.index
    this.#revision = loaded.revision
    this.#revision_id = loaded.revision_id
    this.#api_keys = new Map(loaded.api_keys.map((key) => [key.id, key]))
    this.#cache = cache
    this.#surroundings = surroundings
    this.#entities = loaded.entities
    this.#whole = loaded.whole
    for (const { name, document, version } of loaded.issuers) this.issuers.put(name, document, version)
    for (const { change, revision } of loaded.others) this.#change(change, revision)
    this.#declareTypes()
  }

  /** What decides: only ever within the turn in which it was asked for, since a big revision brings another one. */
  get index(): PolicyIndex {
    return this.#index
  }

  get revision(): number {
    return this.#revision
  }

  get revision_id(): string {
    return this.#revision_id
  }

  get api_keys(): ReadonlyMap<string, ApiKey> {
    return this.#api_keys
  }

  /** How many of its documents are quarantined. */
  get quarantined(): number {
    return this.#index.quarantined + this.issuers.quarantine.size
  }

  /** Why a document is quarantined; undefined: it is not. */
  faultOf(kind: Quarantined, name: string): string | undefined {
    return kind === 'issuer' ? this.issuers.quarantine.reason(kind, name) : this.#index.faultOf(kind, name)
  }

  *faults(): Generator<Fault> {
    yield* this.#index.faults()
    yield* this.issuers.quarantine.all()
  }

  /** Whether all its entities are in memory, so that a decision never waits. */
  get held_whole(): boolean {
    return this.#whole !== undefined
  }

  /**
   * Its entities the other way round; undefined where they are not listed yet, not all in memory, or just being changed by
   * a big revision.
   */
  get directory(): Directory | undefined {
    return this.#entities === this.#whole ? this.#whole?.directory : undefined
  }

  /** Lists its entities, where all of them are in memory: for `directory`. */
  async list(slices: Slices): Promise<void> {
    await this.#whole?.list(slices)
  }

  /** An entity as it is in memory; undefined where memory does not know. */
  readonly lookup: Lookup = (type, id) =>
    this.#never.has(type) ? unknownEntity(type, id) : this.#entities.get(type, id)

  /** An entity as it is held, whatever its type says. */
  held(type: string, id: string): EntityNode | undefined {
    return this.#entities.get(type, id)
  }

  /**
   * An entity with its ancestors and assignments. What memory lacks is pushed on `missing`: the facts are then worth
   * nothing. `fills` are loads to look into beside the cache.
   */
  facts(ref: EntityRef, missing: EntityRef[], fills?: ReadonlySet<Fill>): EntityFacts {
    const lookup = fills === undefined || fills.size === 0 ? this.lookup : this.#lookupWith(fills)
    const node = lookup(ref.type, ref.id)
    // Of an entity that is in nothing and holds nothing, there is nothing to gather.
    const isKept = node !== undefined && node.parents.length + node.assignments.length > 0
    const kept = isKept ? this.#kept.get(node, lookup) : undefined
    const before = missing.length
    const facts = kept ?? this.#gather(lookup, ref, missing, isKept ? node : undefined)
    // What had to be loaded first was counted as missing.
    if (missing.length === before && lookup === this.lookup) this.#cache.hits++
    return facts
  }

  /** Loads what is missing; adds the loads to `fills`. They are kept in memory until they are released. */
  request(missing: readonly EntityRef[], fills: Set<Fill>): void {
    this.#cache.misses += missing.length
    this.#fills.request(missing, fills)
  }

  release(fills: ReadonlySet<Fill>): void {
    this.#fills.release(fills)
  }

  /** Takes over the next revision, wholly. If it throws, the snapshot is worth nothing any more. */
  apply(revision: Revision): void {
    for (const change of revision.changes) this.#change(change, revision.revision)
    this.#arrive(revision, {
      revision: revision.revision,
      idOf: (asked) => (asked === revision.revision ? revision.revision_id : undefined),
      roll: (fill) => {
        for (const change of revision.changes) follow(fill, change)
      },
    })
  }

  /**
   * Takes over what was made beside it, wholly: one big revision, and maybe more. Answers what is to be called
   * afterwards: it tidies up in slices. If it throws, the snapshot is worth nothing any more.
   */
  succeed(draft: Draft, overlay: Overlay): (slices: Slices) => Promise<void> {
    if (draft.index !== undefined) {
      this.#index = draft.index
      // They hold on to what the former one made of them.
      this.#kept.clear()
    }
    for (const change of draft.policy) this.#index.apply(change)
    for (const { change, revision } of draft.others) this.#change(change, revision)
    const layered = overlay.isEmpty ? undefined : new Layered(this.#entities, overlay)
    if (layered !== undefined) this.#entities = layered
    this.#declareTypes()
    const idOf = (asked: number) => draft.passed.get(asked)
    this.#arrive(draft, { revision: draft.revision, idOf, roll: (fill) => overlay.roll(fill) })
    return async (slices) => {
      const settled = await layered?.settle(slices, () => !this.#left && this.#entities === layered)
      if (settled === undefined) return
      this.#entities = settled
      if (this.#cache.overfull) this.#turnPartial()
    }
  }

  /** Gives its room back. */
  leave(): void {
    this.#left = true
    this.#entities.clear()
  }

  load(refs: readonly EntityRef[]): Promise<LoadedEntities | undefined> {
    return this.#surroundings.load(this.id, refs)
  }

  reach(revision: number): Promise<void> {
    return this.#surroundings.reach(this.id, revision)
  }

  admit(nodes: Iterable<EntityNode>): void {
    if (!this.#left) for (const node of nodes) this.#entities.admit(node)
  }

  diverged(found: RevisionId | undefined): void {
    this.#surroundings.diverged(this, found)
  }

  #arrive({ revision, revision_id }: RevisionId, roll: Roll): void {
    this.#revision = revision
    this.#revision_id = revision_id
    this.#kept.doubt()
    if (this.#cache.overfull) this.#turnPartial()
    this.#fills.follow(roll)
  }

  #change(change: LoggedChange, revision: number): void {
    if (change.kind === 'entity' || change.kind === 'assignment') follow(this.#entities, change)
    else if (change.kind === 'api_key') this.#changeApiKey(change)
    else if (change.kind === 'issuer') this.#changeIssuer(change, revision)
    else this.#index.apply(change)
    if (change.kind === 'type') this.#declareTypes()
  }

  #changeApiKey({ key, after, secret_sha256, made }: LoggedChange & { kind: 'api_key' }): void {
    // Without a hash it is a key that was deleted since: a later row of the log says so.
    if (after === null || !secret_sha256 || !made) this.#api_keys.delete(key.id)
    else this.#api_keys.set(key.id, apiKey(this.id, after, secret_sha256, made))
  }

  #changeIssuer({ key, after }: LoggedChange & { kind: 'issuer' }, revision: number): void {
    if (after === null) this.issuers.remove(key.name)
    else this.issuers.put(key.name, after, revision)
  }

  #declareTypes(): void {
    const never = [...this.#index.types.values()].filter(({ stored }) => stored === 'never')
    this.#never = new Set(never.map(({ name }) => name))
  }

  #turnPartial(): void {
    if (this.#whole === undefined) return
    const nodes = [...this.#whole.values()]
    this.#whole.clear()
    this.#whole = undefined
    this.#entities = this.#cache.partial()
    this.admit(nodes)
  }

  #gather(lookup: Lookup, ref: EntityRef, missing: EntityRef[], node: EntityNode | undefined): EntityFacts {
    const before = missing.length
    const above: EntityNode[] = []
    const facts = gatherFacts(lookup, ref, missing, above)
    if (node !== undefined && missing.length === before) this.#kept.set(node, facts, above)
    return facts
  }

  #lookupWith(fills: ReadonlySet<Fill>): Lookup {
    return (type, id) => {
      const cached = this.lookup(type, id)
      if (cached !== undefined) return cached
      for (const fill of fills) {
        const node = fill.get(type, id)
        if (node !== undefined) return node
      }
      return undefined
    }
  }
}

/** Built-in roles that a subject holds by itself: by an assignment to it alone, without a scope, valid now (ms). */
export function builtInRoles(tenant: TenantSnapshot, subject: EntityFacts, now: number): string[] {
  const roles: string[] = []
  for (const { subject: holder, role, within, valid_from, valid_until } of subject.given.flatMap(builtInsOf)) {
    if (holder.type !== subject.type || holder.id !== subject.id || within) continue
    // Written so that an instant that cannot be read (NaN) grants nothing.
    if (valid_from && !(now >= Date.parse(valid_from))) continue
    if (valid_until && !(now < Date.parse(valid_until))) continue
    if (role === 'pdp:operator' && tenant.id !== 'system') continue
    roles.push(role)
  }
  return roles
}

// Each call of whoever is logged in asks for them: among 10,000 they are looked for once.
const builtIns = new WeakMap<readonly GivenAssignment[], readonly GivenAssignment[]>()
const FEW = 16

function builtInsOf(list: readonly GivenAssignment[]): readonly GivenAssignment[] {
  const known = list.length > FEW ? builtIns.get(list) : undefined
  if (known !== undefined) return known
  const found = list.filter(({ role }) => role.startsWith('pdp:'))
  if (list.length > FEW) builtIns.set(list, found)
  return found
}
