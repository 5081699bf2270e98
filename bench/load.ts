import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IntervalHistogram, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { sql } from 'kysely'
import { decide } from '../src/policy/decide.ts'
import type { AccessRequest, Rule } from '../src/policy/model.ts'
import { Snapshots } from '../src/snapshot/snapshots.ts'
import { appendChange } from '../src/store/changes.ts'
import { type OpenDatabase, openDatabase } from '../src/store/database.ts'
import { startEmbedded } from '../src/store/embedded.ts'
import { migrate } from '../src/store/migrate.ts'
import { rules as ruleTable } from '../src/store/rules.ts'
import { snapshotSource } from '../src/store/snapshot.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const APPLICABLE = 10
const TENANT = 'bench'
const QUESTIONS = 1000
/** As many subjects and as many resources are stored, spread evenly over those that rules name: questions are about these. */
const STORED = 10_000
const CHANGES = 100
const MIGRATIONS = new URL('../../migrations/', import.meta.url)

/**
 * Loads a tenant of `--rules` (100,000) from an embedded Postgres, as a service does, and says how long it takes, what it
 * takes in memory, and how long the event loop was held up meanwhile; then the same while one rule changes under
 * decisions, and while a revision that changes a tenth of the rules is brought into force. `--data DIR` keeps the
 * database, so that a second run need not fill it.
 */
export async function run(args: readonly string[]): Promise<void> {
  const rules = Number(argument(args, '--rules') ?? 100_000)
  const kept = argument(args, '--data')
  const directory = kept ?? (await mkdtemp(join(tmpdir(), 'verdict-bench-')))
  await mkdir(directory, { recursive: true })
  // As root, Postgres runs as another user, who must pass through: else it would keep its data elsewhere, and leave it there.
  await chmod(directory, 0o711)
  const server = await startEmbedded(directory, { log: (line) => console.error(line) })
  try {
    await migrate(server.ownerUrl, new URL(server.url).username, MIGRATIONS)
    const owner = openDatabase({ url: server.ownerUrl, size: 1, queryTimeout: 600_000 })
    await seed(owner, rules)
    const facts = openDatabase({ url: server.url, name: 'verdict facts', size: 4 })
    try {
      await measure(facts, owner, rules)
    } finally {
      await facts.close()
      await owner.close()
    }
  } finally {
    await server.stop()
    if (kept === undefined) await rm(directory, { recursive: true, force: true })
  }
}

async function measure(facts: OpenDatabase, owner: OpenDatabase, rules: number): Promise<void> {
  const snapshots = new Snapshots({
    source: snapshotSource(facts.db),
    entities: 200_000,
    maxStaleness: 300_000,
    onError: (error) => console.error(error),
  })
  globalThis.gc?.()
  const before = process.memoryUsage()
  const idle = await watched('nothing', () => pause(1000))
  const load = await watched('load', () => loaded(snapshots))
  globalThis.gc?.()
  const after = process.memoryUsage()
  await checkAnswers(snapshots, rules)
  const one = await whileDeciding(snapshots, rules, () =>
    watched(`${CHANGES} changes of one rule, deciding`, () => changing(snapshots, owner, rules)),
  )
  const one_rule_turn_max_ms = await longestTurn(snapshots, rules)
  const big = await whileDeciding(snapshots, rules, () =>
    watched('a tenth changed at once, deciding', () => touchTenth(snapshots, owner, rules)),
  )
  const rows = [idle, load, one, big]
  await checkAnswers(snapshots, rules)
  console.log(`node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`)
  console.table(rows)
  const figures = {
    rules,
    heap_bytes_per_rule: Math.round((after.heapUsed - before.heapUsed) / rules),
    resident_bytes_per_rule: Math.round((after.rss - before.rss) / rules),
    one_rule_turn_max_ms,
  }
  console.log(JSON.stringify({ ...figures, rows }))
}

/** Who waits gives up after 2 s, as in a service; the load goes on. */
async function loaded(snapshots: Snapshots): Promise<void> {
  for (;;) {
    const tenant = await Promise.resolve(snapshots.tenant(TENANT)).catch(() => undefined)
    if (tenant !== undefined) return
  }
}

/** Nothing is told before it is known to be right. */
async function checkAnswers(snapshots: Snapshots, rules: number): Promise<void> {
  for (let count = 0; count < QUESTIONS; count++) {
    const request = question(drawn(rules))
    const made = await answer(snapshots, request)
    if (made.decision && made.rules.length === APPLICABLE) continue
    throw new Error(`a wrong answer: ${made.reason}, ${made.rules} to ${JSON.stringify(request)}`)
  }
}

function answer(snapshots: Snapshots, request: AccessRequest) {
  return snapshots.withFacts(TENANT, request, ({ index }, facts) => decide(index, facts, request, NOW))
}

/** One rule after another is changed, as by a replica elsewhere. */
async function changing(snapshots: Snapshots, owner: OpenDatabase, rules: number): Promise<void> {
  for (let change = 0; change < CHANGES; change++) {
    const revision = await changeOne(owner, drawn(rules))
    await snapshots.applied(TENANT, revision)
  }
}

/** ms, of the turns in which one rule takes another's place. */
async function longestTurn(snapshots: Snapshots, rules: number): Promise<number> {
  const tenant = await snapshots.tenant(TENANT)
  let longest = 0
  for (let change = 0; change < CHANGES; change++) {
    const after = rule(drawn(rules))
    const began = performance.now()
    tenant?.index.apply({ kind: 'rule', key: { name: after.name }, operation: 'update', before: null, after })
    longest = Math.max(longest, performance.now() - began)
  }
  return round(longest)
}

async function whileDeciding<T>(snapshots: Snapshots, rules: number, work: () => Promise<T>): Promise<T> {
  const state = { done: false }
  const deciding = decideUntil(state, snapshots, rules)
  try {
    return await work()
  } finally {
    state.done = true
    await deciding
  }
}

async function decideUntil(state: { readonly done: boolean }, snapshots: Snapshots, rules: number): Promise<void> {
  while (!state.done) {
    for (let count = 0; count < 20; count++) {
      const made = await answer(snapshots, question(drawn(rules)))
      if (!made.decision) throw new Error(`a wrong answer: ${made.reason}`)
    }
    await turn()
  }
}

function rule(at: number): Rule {
  return {
    name: `exact-id-${at}`,
    policy: 'default',
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['document:read'],
    resources: [{ type: 'document', id: `p${at}/d${at}` }],
    description: `changed at ${performance.now()}`,
  }
}

function changeOne({ db }: OpenDatabase, at: number): Promise<number> {
  const after = rule(at)
  return db
    .of(TENANT)
    .transaction()
    .execute(async (trx) => {
      const change = { kind: 'rule', key: { name: after.name }, operation: 'update', before: null, after } as const
      const revision = await appendChange(trx, { ...WRITER, at: new Date(), changes: [change] })
      await ruleTable.put(trx, { tenant: TENANT, revision, at: new Date() }, [after])
      return revision
    })
}

const WRITER = { tenant: TENANT, actor: { type: 'user', id: 'bench' }, reason: null }

/** One revision, as a bundle makes it. */
async function touchTenth(snapshots: Snapshots, { db }: OpenDatabase, rules: number): Promise<void> {
  const { rows } = await sql<{ revision: number }>`
    with made as (
      update tenants set revision = revision + 1, revision_id = gen_random_uuid() where id = ${TENANT}
      returning revision, revision_id
    ), touched as (
      insert into policy_changes (tenant_id, revision, ordinal, revision_id, actor, kind, key, operation, before, after)
      select ${TENANT}, made.revision, row_number() over () - 1, made.revision_id, '{"type": "user", "id": "bench"}',
             'rule', jsonb_build_object('name', r.name), 'update', r.body, r.body
      from made, rules r where r.tenant_id = ${TENANT} and r.name like 'exact-id-%'
    ) select revision from made`.execute(db.of(TENANT))
  // On a busy machine it takes longer than an answer waits for it.
  while (!(await snapshots.applied(TENANT, rows[0]?.revision ?? 0, rules)));
}

/** One of those that are stored, at random. */
function drawn(rules: number): number {
  const count = rules / APPLICABLE
  return Math.floor(Math.random() * Math.min(STORED, count)) * stepOf(count)
}

function stepOf(count: number): number {
  return Math.max(1, Math.floor(count / STORED))
}

function question(at: number): AccessRequest {
  return {
    subject: { type: 'user', id: `u${at}` },
    action: { name: 'document:read' },
    resource: { type: 'document', id: `p${at}/d${at}`, properties: { owner: `u${at}` } },
  }
}

/** Ten rules for each `at`, found in ten ways, with the entities that some of them need: made where they are kept. */
async function seed(owner: OpenDatabase, rules: number): Promise<void> {
  const db = owner.db.of(TENANT)
  const count = rules / APPLICABLE
  const step = stepOf(count)
  const end = step * (Math.min(STORED, count) - 1)
  const known = await sql<{ count: number }>`select count(*) as count from rules where tenant_id = ${TENANT}`.execute(
    db,
  )
  if (known.rows[0]?.count === rules) return
  if (known.rows[0]?.count !== 0) throw new Error('--data holds a tenant of another size')
  await sql`insert into tenants (id, name) values (${TENANT}, 'Bench') on conflict do nothing`.execute(db)
  for (const { name, subject, resource, action = 'document:read', condition = 'null' } of SEEDS) {
    await sql`
      insert into rules (tenant_id, name, policy, effect, body)
      select ${TENANT}, ${name} || '-' || n, 'default', 'allow', replace(${JSON.stringify({
        name: `${name}-#`,
        policy: 'default',
        effect: 'allow',
        subjects: [subject],
        actions: [action],
        resources: [resource],
        condition: JSON.parse(condition),
        obligations: [],
        priority: 0,
        valid_from: null,
        valid_until: null,
        enabled: true,
        description: '',
      })}, '#', n::text)::jsonb from generate_series(0, ${count - 1}::int) n`.execute(db)
  }
  await sql`
    insert into entities (tenant_id, type, id)
    select ${TENANT}, kind, prefix from generate_series(0, ${end}::int, ${step}::int) n
    cross join lateral (values ('user', 'u' || n), ('document', 'p' || n || '/d' || n)) as each (kind, prefix)`.execute(
    db,
  )
  await sql`
    insert into entity_parents (tenant_id, type, id, ordinal, parent_type, parent_id)
    select ${TENANT}, kind, id, 0, parent, parent_id from generate_series(0, ${end}::int, ${step}::int) n
    cross join lateral (values ('user', 'u' || n, 'group', 'g' || n), ('document', 'p' || n || '/d' || n, 'folder', 'f' || n))
      as each (kind, id, parent, parent_id)`.execute(db)
  await sql`
    insert into assignments (tenant_id, id, subject_type, subject_id, role, granted_by)
    select ${TENANT}, gen_random_uuid(), 'user', 'u' || n, 'r' || n, '{"type": "user", "id": "bench"}'
    from generate_series(0, ${end}::int, ${step}::int) n`.execute(db)
  await sql`analyze`.execute(db)
}

interface Seed {
  readonly name: string
  readonly subject: object
  readonly resource: object
  readonly action?: string
  readonly condition?: string
}

const ANY = { any: true }
const USER = { type: 'user', id: 'u#' }
const ROLE = { role: 'r#' }
const DOCUMENT = { type: 'document' }
const EXACT = { type: 'document', id: 'p#/d#' }

const SEEDS: readonly Seed[] = [
  { name: 'exact-id', subject: ANY, resource: EXACT },
  { name: 'prefix', subject: ANY, resource: { type: 'document', id: 'p#/**' } },
  { name: 'suffix', subject: ANY, resource: { type: 'document', id: '**/d#' } },
  { name: 'within', subject: ANY, resource: { type: 'document', within: { type: 'folder', id: 'f#' } } },
  { name: 'owner', subject: ANY, resource: EXACT, condition: '"resource.properties.owner == subject.id"' },
  { name: 'user', subject: USER, resource: DOCUMENT },
  { name: 'role', subject: ROLE, resource: DOCUMENT },
  { name: 'group', subject: { type: 'group', id: 'g#' }, resource: DOCUMENT },
  { name: 'any-type', subject: ROLE, resource: { type: '*' } },
  { name: 'any-action', subject: USER, resource: DOCUMENT, action: 'document:*' },
]

interface Row {
  readonly what: string
  readonly seconds: number
  /** Processor time of this process, of all its threads. */
  readonly cpu_s: number
  readonly delay_p50_ms: number
  readonly delay_p99_ms: number
  readonly delay_max_ms: number
  /** The longest pause for the garbage collector: part of the delays. */
  readonly gc_max_ms: number
}

/** How long something takes, and how much later than they should timers of 1 ms come meanwhile. */
async function watched(what: string, work: () => Promise<unknown>): Promise<Row> {
  let gc = 0
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gc = Math.max(gc, duration)
  })
  collections.observe({ entryTypes: ['gc'] })
  const delays: IntervalHistogram = monitorEventLoopDelay({ resolution: 1 })
  const cpu = process.cpuUsage()
  const began = performance.now()
  delays.enable()
  await work()
  delays.disable()
  const seconds = round((performance.now() - began) / 1000)
  const { user, system } = process.cpuUsage(cpu)
  await turn()
  collections.disconnect()
  const at = (nanoseconds: number) => round(Math.max(0, nanoseconds / 1e6 - 1))
  const row = {
    what,
    seconds,
    cpu_s: round((user + system) / 1e6),
    delay_p50_ms: at(delays.percentile(50)),
    delay_p99_ms: at(delays.percentile(99)),
    delay_max_ms: at(delays.max),
    gc_max_ms: round(gc),
  }
  // At once: what comes after may take its time.
  console.log(JSON.stringify(row))
  return row
}

function argument(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name)
  return at === -1 ? undefined : args[at + 1]
}

const round = (value: number) => Math.round(value * 1000) / 1000
