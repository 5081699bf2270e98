import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { Redactor } from '../../src/audit/redactor.ts'
import { createSearch, type Search } from '../../src/pdp/search.ts'
import type { Asking } from '../../src/pdp.ts'
import type { SearchLimits } from '../../src/policy/search/found-page.ts'
import type { SearchQuery } from '../../src/policy/search/search.ts'
import { Slices } from '../../src/snapshot/slices.ts'
import type { Snapshots } from '../../src/snapshot/snapshots.ts'
import type { LoggedChange } from '../../src/snapshot/source.ts'
import {
  assigned,
  assignment,
  doc,
  entity,
  FakeDatabase,
  group,
  noAssignment,
  noEntity,
  over,
  rule,
  tenantStatus,
  user,
} from '../snapshot/support.ts'

const ROOMY = 1000
const TIGHT = 20
const MANY = Array.from({ length: 60 }, (_, at) => `u${String(at).padStart(2, '0')}`)
const LIMITS: SearchLimits = { steps: 2_000_000, candidates: 20_000 }
const readers: LoggedChange = {
  kind: 'role',
  key: { name: 'reader' },
  operation: 'create',
  before: null,
  after: { name: 'reader', permissions: [{ actions: ['read'], resources: [{ type: 'document' }] }] },
}

function library(): FakeDatabase {
  const database = new FakeDatabase()
  database
    .tenant('t')
    .write(
      readers,
      entity(group('staff')),
      entity(group('eng'), [group('staff')]),
      entity(doc('1')),
      ...MANY.map((id, at) => entity(user(id), at % 2 === 0 ? [group('eng')] : [])),
      assignment(assigned(group('staff'), 'reader')),
    )
  return database
}

const who: SearchQuery = {
  kind: 'subject',
  subject: { type: 'user' },
  action: { name: 'read' },
  resource: { type: 'document', id: '1' },
}
const what: SearchQuery = {
  kind: 'resource',
  subject: { type: 'user', id: 'u00' },
  action: { name: 'read' },
  resource: { type: 'document' },
}
const EVEN = MANY.filter((_, at) => at % 2 === 0)

function searching(snapshots: Snapshots, limits = LIMITS, trail = { events: [] as AuditEvent[] }): Search {
  return createSearch({
    snapshots,
    clock: () => Date.parse('2030-01-01T00:00:00Z'),
    redactor: new Redactor(Buffer.alloc(32)),
    limits,
    trail: {
      record: async (event) => trail.events.push(event),
      recordAll: async () => 0,
      committed: async () => {},
    },
  })
}

function asking(): Asking {
  const caller = {
    tenant: 't',
    subject: { type: 'service', id: 's' },
    method: 'api_key',
    key_id: 'k',
    key_roles: [],
    session_id: null,
    issuer: null,
  } as const
  const origin = { ip: null, user_agent: null, request_id: null, trace_id: null }
  return { caller, tenant: 't', origin, began: performance.now(), recorded: false }
}

async function page(search: Search, query: SearchQuery, limit: number, token?: string) {
  const given = token === undefined ? { limit } : { limit, token }
  return await search(asking(), { query, page: given, min_revision: undefined })
}

async function allPages(search: Search, query: SearchQuery, limit: number): Promise<string[]> {
  const found: string[] = []
  for (let token: string | undefined; token !== ''; ) {
    const { results, next_token } = await page(search, query, limit, token)
    found.push(...results)
    token = next_token
  }
  return found
}

test.each([
  ['all in memory', ROOMY],
  ['partly in memory', TIGHT],
])('finds the same, page by page, in a tenant that is %s', async (_how, entities) => {
  const search = searching(over(library(), { entities }))
  for (const limit of [1, 7, 30, 1000]) expect(await allPages(search, who, limit)).toEqual(EVEN)
  expect(await allPages(search, what, 10)).toEqual(['1'])
})

test.each([
  ['all in memory', ROOMY],
  ['partly in memory', TIGHT],
])('stops a page where the call has looked at enough, with a token, in a tenant that is %s', async (_how, entities) => {
  const search = searching(over(library(), { entities }), { steps: 1, candidates: 1 })
  const { results, next_token } = await page(search, who, 1000)
  expect(results).toEqual(['u00'])
  expect(next_token).not.toBe('')
  expect(await allPages(search, who, 1000)).toEqual(EVEN)
})

test('knows at once that nobody may, without asking the database who there is', async () => {
  const database = library()
  const search = searching(over(database, { entities: TIGHT }))
  expect(await allPages(search, { ...who, action: { name: 'unheard of' } }, 10)).toEqual([])
  expect(database.asked.idsOf).toBe(0)
})

test.each([
  ['all in memory', ROOMY],
  ['partly in memory', TIGHT],
])(
  'finds what was written since the last search, and no more what is gone, in a tenant that is %s',
  async (_how, entities) => {
    const database = library()
    const given = assigned(user('u01'), 'reader')
    const snapshots = over(database, { entities })
    const search = searching(snapshots)
    expect(await allPages(search, who, 100)).toEqual(EVEN)
    const tenant = database.tenant('t')
    tenant.write(assignment(given), noEntity(user('u00')), entity(user('u03'), [group('eng')]), entity(user('v')))
    await snapshots.applied('t', tenant.revision)
    expect(await allPages(search, who, 100)).toEqual(['u01', ...EVEN.slice(1), 'u03'].sort())
    tenant.write(noAssignment(given), entity(user('u03')), entity(group('eng')))
    await snapshots.applied('t', tenant.revision)
    expect(await allPages(search, who, 100)).toEqual([])
  },
)

test('finds what a big revision has written while it is still being moved into memory', async () => {
  const database = library()
  const snapshots = over(database, { inPlace: 5, slices: new Tiny() })
  const search = searching(snapshots)
  await allPages(search, who, 100)
  const tenant = database.tenant('t')
  tenant.write(...MANY.map((id) => entity(user(id), [group('eng')])))
  const applied = snapshots.applied('t', tenant.revision)
  while ((await snapshots.tenant('t'))?.revision !== tenant.revision) await new Promise(setImmediate)
  expect((await snapshots.tenant('t'))?.directory).toBeUndefined()
  expect(await allPages(search, who, 100)).toEqual(MANY)
  await applied
  expect((await snapshots.tenant('t'))?.directory).toBeDefined()
  expect(await allPages(search, who, 100)).toEqual(MANY)
})

/** By this, a turn is over after a few looks at it. */
function hasty(): () => number {
  let now = 0
  return () => {
    now += 1.5
    return now
  }
}

/** Slices of which each is spent after one step. */
class Tiny extends Slices {
  taken = 0
  at = 60
  after: (() => Promise<unknown>) | undefined

  override get spent(): boolean {
    return true
  }

  override async next(): Promise<void> {
    await super.next()
    if (++this.taken === this.at) await this.after?.()
  }
}

test.each([
  ['all in memory', ROOMY],
  ['partly in memory', TIGHT],
])(
  'a page is of one revision: it ends where another one comes, and the next goes on there: %s',
  async (_how, entities) => {
    const cut: number[] = []
    for (let at = 2; at < 120; at += 9) {
      const database = library()
      const slices = new Tiny()
      const snapshots = over(database, { slices, entities, clock: hasty() })
      const trail = { events: [] as AuditEvent[] }
      const search = searching(snapshots, LIMITS, trail)
      await allPages(search, who, 1000)
      const tenant = database.tenant('t')
      slices.taken = 0
      slices.at = at
      slices.after = () => {
        tenant.write(entity(user('u59'), [group('eng')]))
        return snapshots.applied('t', tenant.revision)
      }
      const first = await page(search, who, 1000)
      const { revision, context } = trail.events.at(-1) ?? {}
      expect(first.results).toEqual(revision === 2 ? [...EVEN, 'u59'] : EVEN.slice(0, first.results.length))
      expect(context).toMatchObject({ complete: first.next_token === '', count: first.results.length })
      if (first.next_token === '') continue
      cut.push(at)
      const second = await page(search, who, 1000, first.next_token)
      expect([...first.results, ...second.results]).toEqual([...EVEN, 'u59'])
      expect(trail.events.at(-1)).toMatchObject({ revision: 2, context: { complete: true, continued: true } })
    }
    expect(cut).not.toEqual([])
  },
)

test('is refused where the policy changes faster than it comes to anything', async () => {
  const database = library()
  const slices = new Tiny()
  const snapshots = over(database, { slices })
  const search = searching(snapshots)
  await allPages(search, who, 1000)
  const tenant = database.tenant('t')
  slices.after = async () => {
    slices.taken = 57
    tenant.write(rule('other', { actions: ['other'] }))
    await snapshots.applied('t', tenant.revision)
  }
  slices.taken = 57
  await expect(page(search, who, 1000)).rejects.toMatchObject({ code: 'busy' })
})

test('a tenant has 8 searches under way and 100 that wait for them; further ones are refused at once', async () => {
  const search = searching(over(library()))
  await page(search, who, 10)
  const asked = Array.from({ length: 120 }, () => page(search, who, 10))
  const came = await Promise.allSettled(asked)
  expect(came.filter(({ status }) => status === 'fulfilled')).toHaveLength(108)
  expect(came.at(-1)).toMatchObject({ reason: { code: 'throttled', retryAfter: 1 } })
  expect((await page(search, who, 10)).results).toEqual(EVEN.slice(0, 10))
})

test.each([
  ['all in memory', ROOMY],
  ['partly in memory', TIGHT],
])('nothing is found in a suspended tenant, %s', async (_how, entities) => {
  const database = library()
  database.tenant('system')
  const snapshots = over(database, { entities })
  const search = searching(snapshots)
  await snapshots.tenant('system')
  database.tenant('t').status = 'suspended'
  database.tenant('system').write(tenantStatus('t', 'suspended'))
  await snapshots.applied('system', 1)
  expect(await allPages(search, who, 10)).toEqual([])
  expect(await allPages(search, { kind: 'action', subject: user('u00'), resource: doc('1') }, 10)).toEqual([])
})

test('is not answered where it could not be recorded', async () => {
  const snapshots = over(library())
  const parts = { snapshots, clock: Date.now, redactor: new Redactor(Buffer.alloc(32)) }
  const refused = async () => Promise.reject(new Error('the disk is full'))
  const search = createSearch({ ...parts, trail: { record: refused, recordAll: refused, committed: async () => {} } })
  await expect(page(search, who, 10)).rejects.toThrow('the disk is full')
})
