import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entity } from '../../src/policy/model.ts'
import { type Bench, by, digest, FIRST_PAGE, openBench, refusal, revisionOf } from './support.ts'

const ACME = { tenant: 'acme' }

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

async function* lines(...entities: Entity[]) {
  for (const [place, entity] of entities.entries()) yield { line: place + 1, entity }
}

const group = (id: string) => ({ type: 'group', id })
const changesOf = async (revision: number) =>
  (await bench.administration.changes.list(ACME, revision - 1, { limit: 1000 })).items.filter(
    (row) => row.revision === revision,
  )

describe('entities', () => {
  test('an entity is put, read, listed by type and put again without a revision', async () => {
    const { entities } = bench.administration
    const put = await entities.put(by(), {
      type: 'user',
      id: 'bob',
      properties: { level: 3 },
      parents: [group('b'), group('a')],
    })
    expect(put).toMatchObject({ status: 201, body: { disabled: false, parents: [group('b'), group('a')] } })
    expect(await entities.get(ACME, { type: 'user', id: 'bob' })).toEqual({ body: put.body, version: put.version })
    const again = await entities.put(by(), {
      type: 'user',
      id: 'bob',
      properties: { level: 3 },
      parents: [group('b'), group('a')],
    })
    expect(again).toMatchObject({ status: 200, revision: put.revision, recorded: false })
    await entities.put(by(), { type: 'doc', id: 'x' })
    expect((await entities.list(ACME, { type: 'user' }, FIRST_PAGE)).items).toEqual([put.body])
    const first = await entities.list(ACME, {}, { limit: 1 })
    const second = await entities.list(ACME, {}, { limit: 1, cursor: first.next_cursor })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(['x', 'bob'])
  })

  test('entities build no cycle over their parents', async () => {
    const { entities } = bench.administration
    await entities.put(by(), { ...group('one'), parents: [group('two')] })
    await entities.put(by(), { ...group('two'), parents: [group('three')] })
    const refused = await refusal(bench, () =>
      entities.put(by(), { ...group('three'), parents: [group('else'), group('one')] }),
    )
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/parents/1'] })
    const itself = await refusal(bench, () => entities.put(by(), { ...group('self'), parents: [group('self')] }))
    expect(itself).toMatchObject({ code: 'unprocessable', pointers: ['/parents/0'] })
  })

  test('an entity is in a parent once', async () => {
    const { entities } = bench.administration
    const twice = { ...group('twice'), parents: [group('one'), group('two'), group('one')] }
    expect(await refusal(bench, () => entities.put(by(), twice))).toMatchObject({
      code: 'unprocessable',
      pointers: ['/parents/2'],
    })
    expect(await refusal(bench, () => entities.bulk(by(), lines(group('x'), twice)))).toMatchObject({
      pointers: ['/1/parents/2'],
    })
  })

  test('an entity that a rule or a permission names literally cannot be deleted', async () => {
    const { entities, rules, roles } = bench.administration
    await entities.put(by(), { type: 'folder', id: '42' })
    const resources = [{ type: 'doc', within: { type: 'folder', id: '42' } }]
    await roles.put(by(), { name: 'in-folder', permissions: [{ actions: ['read'], resources }] })
    await rules.put(by(), {
      name: 'to-folder',
      effect: 'deny',
      subjects: [{ type: 'folder', id: '42' }],
      actions: ['x'],
      resources: [{ type: 'doc' }],
    })
    const refused = await refusal(bench, () => entities.delete(by(), { type: 'folder', id: '42' }))
    expect(refused.code).toBe('conflict')
    expect(refused.message).toContain('role in-folder, rule to-folder')
    await rules.delete(by(), 'to-folder')
    await roles.put(by(), { name: 'in-folder' })
    expect(await entities.delete(by(), { type: 'folder', id: '42' })).toMatchObject({ status: 204 })
  })

  test('deleting an entity deletes what hangs on it, in one revision, and made again it inherits nothing', async () => {
    const { entities, assignments, api_keys, roles } = bench.administration
    await roles.put(by(), { name: 'editor' })
    const eng = group('eng')
    await entities.put(by(), eng)
    await entities.put(by(), { type: 'user', id: 'carl', parents: [group('a'), eng, group('b')] })
    const own = await assignments.create(by(), { subject: eng, role: 'editor' })
    const scoped = await assignments.create(by(), {
      subject: { type: 'user', id: 'carl' },
      role: 'editor',
      within: eng,
    })
    const kept = await assignments.create(by(), { subject: { type: 'user', id: 'carl' }, role: 'editor' })
    const key = await api_keys.create(by(), { name: 'k', subject: eng })
    const { revision } = await entities.delete(by(), eng)
    const changed = (await changesOf(revision)).map(({ kind, key, operation }) => ({ kind, key, operation }))
    expect(changed).toEqual([
      ...[own.body.id, scoped.body.id].sort().map((id) => ({ kind: 'assignment', key: { id }, operation: 'delete' })),
      { kind: 'api_key', key: { id: key.body.id }, operation: 'delete' },
      { kind: 'entity', key: { type: 'user', id: 'carl' }, operation: 'update' },
      { kind: 'entity', key: eng, operation: 'delete' },
    ])
    await entities.put(by(), eng)
    expect((await entities.get(ACME, { type: 'user', id: 'carl' })).body.parents).toEqual([group('a'), group('b')])
    expect((await assignments.list(ACME, {}, FIRST_PAGE)).items).toEqual([kept.body])
    expect((await api_keys.list(ACME, {}, FIRST_PAGE)).items).toEqual([])
    const index = await sql<{ id: string }>`select id from api_key_index`.execute(bench.db)
    expect(index.rows).toEqual([])
  })

  test('nothing of a type that is never stored is stored or given a role', async () => {
    const { entities, assignments } = bench.administration
    await sql`insert into types (tenant_id, name, body) values ('acme', 'session', '{"name": "session", "stored": "never"}')`.execute(
      bench.db,
    )
    const put = await refusal(bench, () => entities.put(by(), { type: 'session', id: '1' }))
    expect(put).toMatchObject({ code: 'unprocessable', pointers: ['/type'] })
    const give = await refusal(bench, () =>
      assignments.create(by(), { subject: { type: 'session', id: '1' }, role: 'editor' }),
    )
    expect(give).toMatchObject({ code: 'unprocessable', pointers: ['/subject/type'] })
    const bulk = await refusal(bench, () =>
      entities.bulk(by(), lines({ type: 'doc', id: 'new' }, { type: 'session', id: '1' })),
    )
    expect(bulk).toMatchObject({ code: 'unprocessable', pointers: ['/1/type'] })
  })
})

describe('a bulk', () => {
  test('is one revision, and counts what it made, replaced and found as it is', async () => {
    const { entities } = bench.administration
    await entities.put(by(), { type: 'item', id: '1' })
    await entities.put(by(), { type: 'item', id: '2' })
    const before = await revisionOf(bench.db)
    const sent: Entity[] = [
      { type: 'item', id: '1' },
      { type: 'item', id: '2', disabled: true },
      { type: 'item', id: '3', parents: [group('a')] },
    ]
    const answer = await entities.bulk(by(), lines(...sent))
    expect(answer).toMatchObject({ status: 200, revision: before + 1, body: { created: 1, updated: 1, unchanged: 1 } })
    const again = await entities.bulk(by(), lines(...sent))
    expect(again).toMatchObject({
      revision: before + 1,
      recorded: false,
      body: { created: 0, updated: 0, unchanged: 3 },
    })
  })

  test('writes nothing if a line is sent twice', async () => {
    const refused = await refusal(bench, () =>
      bench.administration.entities.bulk(
        by(),
        lines({ type: 'item', id: 'n' }, { type: 'item', id: 'm' }, { type: 'item', id: 'n' }),
      ),
    )
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/2'] })
  })

  test('writes nothing if it closes a cycle: among its lines, or with what is stored', async () => {
    const { entities } = bench.administration
    const among = await refusal(bench, () =>
      entities.bulk(
        by(),
        lines({ ...group('p'), parents: [group('q')] }, group('r'), { ...group('q'), parents: [group('p')] }),
      ),
    )
    expect(among).toMatchObject({ code: 'unprocessable', pointers: ['/0/parents/0', '/2/parents/0'] })
    const stored = await refusal(bench, () =>
      entities.bulk(by(), lines({ ...group('three'), parents: [group('one')] })),
    )
    expect(stored).toMatchObject({ code: 'unprocessable', pointers: ['/0/parents/0'] })
  })

  test('may turn edges round: what counts is what stands after it', async () => {
    const { entities } = bench.administration
    await entities.bulk(by(), lines({ ...group('up'), parents: [] }, { ...group('down'), parents: [group('up')] }))
    const turned = await entities.bulk(
      by(),
      lines({ ...group('up'), parents: [group('down')] }, { ...group('down'), parents: [] }),
    )
    expect(turned.body).toMatchObject({ updated: 2 })
  })

  test('of 10,000 entities goes through', async () => {
    const many = Array.from({ length: 10_000 }, (_, place) => ({
      type: 'many',
      id: `${place}`,
      properties: { place },
      parents: [group(`g${place % 100}`), group('all')],
    }))
    const started = performance.now()
    const { body } = await bench.administration.entities.bulk(by(), lines(...many))
    expect(body.created).toBe(10_000)
    expect(performance.now() - started).toBeLessThan(20_000)
    expect((await bench.administration.entities.get(ACME, { type: 'many', id: '9999' })).body.parents).toEqual([
      group('g99'),
      group('all'),
    ])
  })

  test('leaves nobody in a group of 10,000 that is deleted, in one revision', async () => {
    const before = await revisionOf(bench.db)
    await bench.administration.entities.put(by(), group('all'))
    const { revision } = await bench.administration.entities.delete(by(), group('all'))
    expect(revision).toBe(before + 2)
    const { rows } = await sql<{ left: number }>`
      select count(*) as left from entity_parents where parent_type = 'group' and parent_id = 'all'`.execute(bench.db)
    expect(rows[0]?.left).toBe(0)
  })

  test('leaves the store as it was when its lines break off', async () => {
    const before = await digest(bench.db)
    async function* broken() {
      yield { line: 1, entity: { type: 'item', id: 'half' } }
      throw new Error('connection reset')
    }
    await expect(bench.administration.entities.bulk(by(), broken())).rejects.toThrow('connection reset')
    expect(await digest(bench.db)).toBe(before)
  })
})
