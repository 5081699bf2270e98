import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { EntityFacts, EntityNode, Lookup } from '../../src/policy/entity-graph.ts'
import { gatherFacts } from '../../src/policy/entity-graph.ts'
import { loadBundle } from '../../src/policy/in-memory.ts'
import type { Assignment, Bundle, Entity, EntityRef, EntityType } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { Directory } from '../../src/policy/search/directory.ts'
import { type FoundPage, PageInProgress, type SearchLimits } from '../../src/policy/search/found-page.ts'
import {
  type ActionQuery,
  type EntityQuery,
  givenOf,
  type SearchQuery,
  searchActions,
  searchEntities,
} from '../../src/policy/search/search.ts'
import { inByteOrder, type SortedTexts } from '../../src/policy/search/sorted-texts.ts'
import { Dice } from './dice.ts'
import { naiveDecide } from './naive.ts'
import { caseOf, edited, SMALL } from './random-case.ts'
import { CONDITIONS } from './random-meanings.ts'
import type { Asked } from './random-question.ts'
import { ACTIONS, NAMES, present, properties, RESOURCE_IDS, RESOURCE_TYPES, SUBJECT_TYPES } from './universe.ts'

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 1_500)
const FIRST_SEED = Number(process.env['VERDICT_TEST_SEED'] ?? 1)

interface World {
  readonly bundle: Bundle
  readonly index: PolicyIndex
  readonly lookup: Lookup
  readonly directory: Directory
  readonly asked: Asked
}

type MakeDirectory = () => Directory

const ROLES = ['r1', 'r2', 'r3', 'r4', 'r5'] as const

const SUBJECTS: readonly EntityRef[] = SUBJECT_TYPES.flatMap((type) => NAMES.map((id) => ({ type, id })))
const REFS: readonly EntityRef[] = [
  ...SUBJECTS,
  ...RESOURCE_TYPES.flatMap((type) => RESOURCE_IDS.map((id) => ({ type, id }))),
  ...NAMES.map((id) => ({ type: 'folder', id: `${id}1` })),
]

/** A random policy over a whole universe of entities, in groups and folders at any depth. */
function worldOf(seed: number, makeDirectory: MakeDirectory): World {
  const made = caseOf(seed)
  const dice = new Dice(seed * 7 + 1)
  const bundle = peopled(dice.chance(2) ? edited(made) : aboutRoles(edited(made), dice), dice)
  const limits = SMALL[seed % SMALL.length] ?? SMALL[0]
  const { index, lookup } = loadBundle(bundle, new PolicyIndex((any) => new RuleIndex(any, limits)))
  return { bundle, index, lookup, directory: directoryOf(bundle, lookup, makeDirectory), asked: made.asked }
}

function peopled(bundle: Bundle, dice: Dice): Bundle {
  const one = <T>(of: readonly T[]): T => of[dice.below(of.length)] as T
  const has = (type: string, id: string) => bundle.entities?.some((other) => other.type === type && other.id === id)
  const others = REFS.filter(({ type, id }) => !dice.chance(3) && has(type, id) !== true).map((ref) =>
    present<Entity>({
      ...ref,
      properties: dice.maybe(2, () => properties(dice)),
      parents: dice.maybe(2, () => dice.some(2, () => one(REFS), 1)),
      disabled: dice.maybe(20, () => true),
    }),
  )
  const assignments = dice.some(12, () =>
    present<Assignment>({
      subject: one(dice.chance(4) ? REFS : SUBJECTS),
      role: dice.one(ROLES),
      within: dice.maybe(2, () => one(REFS)),
    }),
  )
  const types: EntityType[] = [{ name: 'folder', actions: ['read', 'unheard of'] }]
  return {
    ...bundle,
    entities: [...(bundle.entities ?? []), ...others],
    assignments: [...(bundle.assignments ?? []), ...assignments],
    types: [...(bundle.types ?? []), ...types],
  }
}

/** The same with nothing that is for anybody, and more roles that are derived: otherwise most searches look at everything. */
function aboutRoles({ rules = [], roles = [], ...rest }: Bundle, dice: Dice): Bundle {
  const role = () => dice.one(ROLES)
  return {
    ...rest,
    rules: rules.map((rule) => ({
      ...rule,
      subjects: rule.subjects.map((subject) => ('any' in subject ? { role: role() } : subject)),
    })),
    roles: roles.map((one) => {
      const from = ROLES.filter((other) => other > one.name && dice.chance(2))
      if (from.length === 0 || dice.chance(3)) return one
      const condition = dice.one(['true', 'resource.properties.owner == subject.id', '"r2" in subject.roles'])
      return { ...one, derived: { from, condition } }
    }),
  }
}

function directoryOf({ entities = [], assignments = [] }: Bundle, lookup: Lookup, make: MakeDirectory): Directory {
  const directory = make()
  const nodes = new Set<EntityNode>()
  for (const { type, id } of [...entities, ...assignments.map(({ subject }) => subject)]) {
    const node = lookup(type, id)
    if (node !== undefined) nodes.add(node)
  }
  for (const node of nodes) directory.replace(undefined, node)
  return directory
}

const QUERIES: Readonly<Record<SearchQuery['kind'], (asked: Asked) => SearchQuery>> = {
  subject: ({ request: { subject, action, resource, context } }) =>
    present<EntityQuery>({ kind: 'subject', subject: { type: subject.type }, action, resource, context }),
  resource: ({ request: { subject, action, resource, context } }) =>
    present<EntityQuery>({ kind: 'resource', subject, action, resource: { type: resource.type }, context }),
  action: ({ request: { subject, resource, context } }) =>
    present<ActionQuery>({ kind: 'action', subject, resource, context }),
}

/** What there is to find, by asking about each. */
function bruteForce({ bundle, asked: { now } }: World, query: SearchQuery): string[] {
  const { context } = query
  const allowed = (request: Asked['request']) => naiveDecide(bundle, CONDITIONS, request, now).decision
  const stored = (wanted: string) => (bundle.entities ?? []).filter(({ type }) => type === wanted).map(({ id }) => id)
  const found = () => {
    if (query.kind === 'subject') {
      const { action, resource, subject } = query
      const { type } = subject
      return stored(type).filter((id) => allowed(present({ subject: { type, id }, action, resource, context })))
    }
    if (query.kind === 'resource') {
      const { action, resource, subject } = query
      const { type } = resource
      return stored(type).filter((id) => allowed(present({ subject, action, resource: { type, id }, context })))
    }
    const { subject, resource } = query
    return actionsIn(bundle, resource.type).filter((name) =>
      allowed(present({ subject, action: { name }, resource, context })),
    )
  }
  return found().sort(inByteOrder)
}

function actionsIn({ types = [], roles = [], rules = [] }: Bundle, type: string): string[] {
  const enabled = rules.filter(({ enabled: on }) => on !== false)
  const written = [...enabled, ...roles.flatMap(({ permissions = [] }) => permissions)].flatMap(
    ({ actions }) => actions,
  )
  const declared = types.filter(({ name }) => name === type).flatMap(({ actions = [] }) => actions)
  return [...new Set([...declared, ...written.filter((action) => !action.includes('*'))])]
}

function pageOf(world: World, query: SearchQuery, after: string, limit: number, limits: SearchLimits): FoundPage {
  const { index, lookup, directory, asked } = world
  const court = { index, isBuiltIn: false, now: asked.now, seen: <T>(facts: T) => facts }
  const page = new PageInProgress({ limit, after }, limits)
  const facts = (ref: EntityRef): EntityFacts => gatherFacts(lookup, ref, [])
  const steps =
    query.kind === 'action'
      ? searchActions(court, query, { subject: facts(query.subject), resource: facts(query.resource) }, after, page)
      : searchEntities(court, query, facts(givenOf(query)), { directory, lookup, after }, page)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

const LIMITS: readonly SearchLimits[] = [
  { steps: 1_000_000, candidates: 1000 },
  { steps: 1, candidates: 1000 },
  { steps: 1_000_000, candidates: 2 },
]

/** All pages, one after the other. */
function search(world: World, query: SearchQuery, limit: number, limits: SearchLimits): string[] {
  const found: string[] = []
  for (let after: string | undefined = ''; after !== undefined; ) {
    const { results, next } = pageOf(world, query, after, limit, limits)
    if (results.length > limit) throw new Error('a page has more results than were asked for')
    if (next !== undefined && inByteOrder(next, after) <= 0) throw new Error('a page gets no further')
    found.push(...results)
    after = next
  }
  return found
}

interface Wrong {
  readonly seed: number
  readonly query: SearchQuery
  readonly found: readonly string[]
  readonly wanted: readonly string[]
}

function firstWrong(kind: SearchQuery['kind'], count: number, make: MakeDirectory = () => new Directory()) {
  let results = 0
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const world = worldOf(seed, make)
    const query = QUERIES[kind](world.asked)
    const wanted = bruteForce(world, query)
    const dice = new Dice(seed)
    const found = search(world, query, 1 + dice.below(4), LIMITS[seed % LIMITS.length] ?? SEARCHED_WHOLE)
    if (!isDeepStrictEqual(found, wanted)) return { wrong: { seed, query, found, wanted } satisfies Wrong, results }
    results += wanted.length
  }
  return { wrong: undefined, results }
}

const SEARCHED_WHOLE: SearchLimits = { steps: 1_000_000, candidates: 1000 }
const KINDS = ['subject', 'resource', 'action'] as const

describe('of random policies over groups and folders', () => {
  test.each(KINDS)('all pages of a %s search are what asking about each comes to', { timeout: 600_000 }, (kind) => {
    const { wrong, results } = firstWrong(kind, COUNT)
    expect(wrong && JSON.stringify(wrong)).toBeUndefined()
    expect(results).toBeGreaterThan(COUNT / 20)
  })
})

// The comparison is seen to find what a wrong narrowing loses.

class ForgetsScopes extends Directory {
  override holders(type: string, role: string, within: EntityRef | undefined): SortedTexts | undefined {
    return within === undefined ? super.holders(type, role, within) : undefined
  }
}

class ForgetsMembers extends Directory {
  override children(): undefined {
    return undefined
  }
}

class ForgetsGroupsInGroups extends Directory {
  override hasChildren(): boolean {
    return false
  }
}

class ForgetsHolders extends Directory {
  override holders(type: string, role: string, within: EntityRef | undefined): SortedTexts | undefined {
    return type === 'user' ? undefined : super.holders(type, role, within)
  }
}

class ForgetsWhatIsStored extends Directory {
  override stored(): undefined {
    return undefined
  }
}

test.each([
  ['subject', 'ForgetsScopes', ForgetsScopes],
  ['subject', 'ForgetsMembers', ForgetsMembers],
  ['subject', 'ForgetsGroupsInGroups', ForgetsGroupsInGroups],
  ['subject', 'ForgetsHolders', ForgetsHolders],
  ['subject', 'ForgetsWhatIsStored', ForgetsWhatIsStored],
  ['resource', 'ForgetsMembers', ForgetsMembers],
  ['resource', 'ForgetsGroupsInGroups', ForgetsGroupsInGroups],
  ['resource', 'ForgetsWhatIsStored', ForgetsWhatIsStored],
] as const)('a %s search that narrows too much is found out: %s', (kind, _name, Faulty) => {
  expect(firstWrong(kind, 3000, () => new Faulty()).wrong).toBeDefined()
})

test('a page that says that there is more is followed by more, unless its call had looked at as much as it may', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const world = worldOf(seed, () => new Directory())
    const query = QUERIES.resource(world.asked)
    const first = pageOf(world, query, '', 1, SEARCHED_WHOLE)
    if (first.next !== undefined) {
      expect(pageOf(world, query, first.next, 1, SEARCHED_WHOLE).results, `seed ${seed}`).toHaveLength(1)
    }
  }
})

test('an action that no rule names and the type does not declare is not looked for', () => {
  expect(actionsIn({ verdict: 1, types: [{ name: 'doc', actions: [...ACTIONS] }] }, 'folder')).toEqual([])
})
