import { monitorEventLoopDelay } from 'node:perf_hooks'
import { decide } from '../src/policy/decide.ts'
import { gatherFacts } from '../src/policy/entity-graph.ts'
import { type LoadedBundle, loadBundle } from '../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Entity, EntityRef, Rule } from '../src/policy/model.ts'
import { Directory } from '../src/policy/search/directory.ts'
import { type FoundPage, PageInProgress, SEARCH_LIMITS } from '../src/policy/search/found-page.ts'
import {
  type Court,
  givenOf,
  type SearchQuery,
  searchActions,
  searchEntities,
  typeOf,
} from '../src/policy/search/search.ts'
import { inByteOrder } from '../src/policy/search/sorted-texts.ts'
import { Slices } from '../src/snapshot/slices.ts'
import type { Row, Section } from './section.ts'
import { rounded } from './timing.ts'

const USERS = 100_000
const DOCUMENTS = 100_000
const RULES = 1_000
const TEAMS = 1_000
const FOLDERS = 2_000
const ACTIONS = 50
const LIMIT = 100
const NOW = Date.parse('2030-01-01T00:00:00Z')

/** Searches among many: each is held against asking about every single one, then timed. */
export async function run(): Promise<readonly Section[]> {
  const world = worldOf()
  const began = performance.now()
  const slices = new Slices()
  await slices.next()
  const directory = await listed(world, slices)
  const listed_ms = performance.now() - began
  const rows: Row[] = []
  for (const [name, query] of QUERIES) rows.push(await rowOf(name, query, { ...world, directory, slices }))
  return [
    {
      title: 'Search',
      method: `${count(USERS)} users in ${count(TEAMS)} teams, ${count(DOCUMENTS)} documents in ${count(FOLDERS)} nested folders, ${count(RULES)} rules, each with a
condition, ${count(ACTIONS)} actions; pages of ${LIMIT}, in slices of 4 ms. What is found is first held against asking about every single one. The first page
and all pages are of the clock; \`loop_p99_ms\` is how late others were served meanwhile.`,
      rows,
      notes: [
        `Listing ${count(USERS + DOCUMENTS)} entities the other way round, once: ${Math.round(listed_ms)} ms, in slices.`,
      ],
    },
  ]
}

const user = (id: number): EntityRef => ({ type: 'user', id: `u${id}` })
const team = (id: number): EntityRef => ({ type: 'team', id: `t${id}` })
const folder = (id: number): EntityRef => ({ type: 'folder', id: `f${id}` })
const documentRef = (id: number): EntityRef => ({ type: 'document', id: `d${id}` })

function worldOf(): LoadedBundle & { readonly entities: readonly Entity[] } {
  const entities: Entity[] = []
  for (let at = 0; at < TEAMS; at++) entities.push({ ...team(at), ...(at > 0 && { parents: [team(at >> 2)] }) })
  for (let at = 0; at < FOLDERS; at++) entities.push({ ...folder(at), ...(at > 0 && { parents: [folder(at >> 3)] }) })
  for (let at = 0; at < USERS; at++) {
    entities.push({ ...user(at), properties: { level: at % 10 }, parents: [team(at % TEAMS)] })
  }
  for (let at = 0; at < DOCUMENTS; at++) {
    entities.push({
      ...documentRef(at),
      properties: { owner: `u${(at * 7) % USERS}`, level: at % 7 },
      parents: [folder(at % FOLDERS)],
    })
  }
  const rules: Rule[] = Array.from({ length: RULES }, (_, at) => ruleOf(at))
  const bundle: Bundle = {
    verdict: 1,
    types: [{ name: 'document', actions: Array.from({ length: ACTIONS }, (_, at) => `do${at}`) }],
    roles: [
      { name: 'viewer', permissions: [{ actions: ['view'], resources: [{ type: 'document' }] }] },
      { name: 'editor', inherits: ['viewer'] },
    ],
    rules,
    entities,
    assignments: [
      ...Array.from({ length: 500 }, (_, at) => ({ subject: user(at * 13), role: 'editor', within: folder(at) })),
      { subject: team(900), role: 'viewer' },
    ],
  }
  return { ...loadBundle(bundle), entities }
}

/** Mostly about one team and one folder; a few about everybody, and denies. */
function ruleOf(at: number): Rule {
  const action = `do${at % ACTIONS}`
  if (at === 0) {
    const condition = 'resource.properties.owner == subject.id'
    return {
      name: 'own',
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['own'],
      resources: [{ type: 'document' }],
      condition,
    }
  }
  return {
    name: `r${at}`,
    effect: at % 20 === 0 ? 'deny' : 'allow',
    subjects: [team(at)],
    actions: [action],
    resources: [{ type: 'document', within: folder(at) }],
    condition: 'subject.properties.level >= resource.properties.level && context.hour < 18',
  }
}

const context = { hour: 9 }
const QUERIES: readonly (readonly [string, SearchQuery])[] = [
  [
    'who, of a team',
    { kind: 'subject', subject: { type: 'user' }, action: { name: 'do7' }, resource: documentRef(407), context },
  ],
  [
    'who, of the holders of a role',
    { kind: 'subject', subject: { type: 'user' }, action: { name: 'view' }, resource: documentRef(77), context },
  ],
  [
    'who, of everybody',
    { kind: 'subject', subject: { type: 'user' }, action: { name: 'own' }, resource: documentRef(77), context },
  ],
  [
    'what, in a folder',
    { kind: 'resource', subject: user(19), action: { name: 'do19' }, resource: { type: 'document' }, context },
  ],
  [
    'what, of all',
    { kind: 'resource', subject: user(900), action: { name: 'view' }, resource: { type: 'document' }, context },
  ],
  [
    'what, of all, few of them',
    { kind: 'resource', subject: user(77), action: { name: 'own' }, resource: { type: 'document' }, context },
  ],
  ['which', { kind: 'action', subject: user(19), resource: documentRef(2019), context }],
]

interface Searched extends LoadedBundle {
  readonly entities: readonly Entity[]
  readonly directory: Directory
  readonly slices: Slices
}

async function rowOf(search: string, query: SearchQuery, world: Searched): Promise<Row> {
  const checked = await allPages(world, query)
  check(search, checked.results, bruteForce(world, query))
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const began = performance.now()
  const first = await pageOf(world, query, '')
  const first_ms = performance.now() - began
  const all = await allPages(world, query)
  loop.disable()
  return {
    search,
    found: all.results.length,
    pages: all.pages,
    first_ms: rounded(first_ms),
    found_first: first.results.length,
    all_ms: rounded(all.ms),
    loop_p99_ms: rounded(Math.max(0, loop.percentile(99) / 1e6 - 1)),
    loop_max_ms: rounded(Math.max(0, loop.max / 1e6 - 1)),
  }
}

function check(search: string, found: readonly string[], wanted: readonly string[]): void {
  if (found.length === wanted.length && found.every((id, at) => id === wanted[at])) return
  throw new Error(`${search}: found ${found.length} of ${wanted.length}`)
}

async function allPages(world: Searched, query: SearchQuery) {
  const results: string[] = []
  let pages = 0
  const began = performance.now()
  for (let after: string | undefined = ''; after !== undefined; pages++) {
    const page: FoundPage = await pageOf(world, query, after)
    for (const result of page.results) results.push(result)
    after = page.next
  }
  return { results, pages, ms: performance.now() - began }
}

async function pageOf(world: Searched, query: SearchQuery, after: string): Promise<FoundPage> {
  const { index, lookup, directory, slices } = world
  const court: Court = { index, isBuiltIn: false, now: NOW, seen: (facts) => facts }
  const page = new PageInProgress({ limit: LIMIT, after }, SEARCH_LIMITS)
  const facts = (ref: EntityRef) => gatherFacts(lookup, ref, [])
  const steps =
    query.kind === 'action'
      ? searchActions(court, query, { subject: facts(query.subject), resource: facts(query.resource) }, after, page)
      : searchEntities(court, query, facts(givenOf(query)), { directory, lookup, after }, page)
  await slices.next()
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (slices.spent) await slices.next()
  }
}

function bruteForce({ index, lookup, entities }: Searched, query: SearchQuery): string[] {
  const given = query.kind === 'action' ? undefined : gatherFacts(lookup, givenOf(query), [])
  const asked = (request: AccessRequest) => {
    const subject = query.kind === 'resource' && given ? given : gatherFacts(lookup, request.subject, [])
    const resource = query.kind === 'subject' && given ? given : gatherFacts(lookup, request.resource, [])
    return decide(index, { subject, resource }, request, NOW).decision
  }
  if (query.kind === 'action') {
    const { subject, resource } = query
    const names = ['own', 'view', ...Array.from({ length: ACTIONS }, (_, at) => `do${at}`)]
    return names.filter((name) => asked({ subject, action: { name }, resource, context })).sort(inByteOrder)
  }
  const { action } = query
  return entities
    .filter(({ type }) => type === typeOf(query))
    .filter(({ type, id }) =>
      query.kind === 'subject'
        ? asked({ subject: { type, id }, action, resource: query.resource, context })
        : asked({ subject: query.subject, action, resource: { type, id }, context }),
    )
    .map(({ id }) => id)
    .sort(inByteOrder)
}

async function listed({ lookup, entities }: ReturnType<typeof worldOf>, slices: Slices): Promise<Directory> {
  const directory = new Directory()
  for (const { type, id } of entities) {
    directory.replace(undefined, lookup(type, id))
    if (slices.spent) await slices.next()
  }
  return directory
}

const count = (of: number) => of.toLocaleString('en')
