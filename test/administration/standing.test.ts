import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Author, Write } from '../../src/administration/write.ts'
import { type Bench, by, openBench, operator, refusal } from './support.ts'

// What the guard saw in memory is asked again of the tables, with the tenant's row held.

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

let written = 0
/** By a caller as a call has it. */
const write = (as: Write, more: Partial<Author> = {}) => {
  const caller = { ...as.caller, key_id: null, session_id: null, ...more }
  return bench.administration.roles.put({ ...as, caller }, { name: `r${++written}` })
}
const refused = async (as: Write, more?: Partial<Author>) => (await refusal(bench, () => write(as, more))).code

const admin = async (id: string, more = sql`null, null`) => {
  await sql`
    insert into assignments (tenant_id, id, subject_type, subject_id, role, granted_by, valid_from, valid_until)
    values ('acme', gen_random_uuid(), 'user', ${id}, 'pdp:admin', '{}', ${more})`.execute(bench.db)
  return { ...by().caller, subject: { type: 'user', id } }
}
const key = async (id: string, roles: readonly string[] | null, expires_at: string | null = null) => {
  await sql`
    insert into api_keys (tenant_id, id, name, subject_type, subject_id, roles, secret_sha256, expires_at)
    values ('acme', ${id}, 'k', 'user', 'keyed', ${roles}, ${Buffer.alloc(32)}, ${expires_at})`.execute(bench.db)
  return { ...by().caller, subject: { type: 'user', id: 'keyed' }, key_id: id }
}

describe('a write is refused whose caller does not hold any more what it was let in by', () => {
  test('a role that is assigned to it', async () => {
    const caller = await admin('stays')
    expect(await write(by({ caller }))).toMatchObject({ status: 201 })
    await sql`delete from assignments where subject_id = 'stays'`.execute(bench.db)
    expect(await refused(by({ caller }))).toBe('forbidden')
  })

  test('a role whose time is over, or has not come', async () => {
    expect(await refused(by({ caller: await admin('over', sql`null, '2026-01-01'`) }))).toBe('forbidden')
    expect(await refused(by({ caller: await admin('comes', sql`'2026-02-01', null`) }))).toBe('forbidden')
  })

  test('itself, since it was disabled', async () => {
    const caller = await admin('disabled')
    await sql`insert into entities (tenant_id, type, id, disabled) values ('acme', 'user', 'disabled', true)`.execute(
      bench.db,
    )
    expect(await refused(by({ caller }))).toBe('forbidden')
  })

  test('its key', async () => {
    const { key_id, ...caller } = await key('goodkey1', ['pdp:admin'])
    expect(await write(by({ caller: { ...caller, key_id } }), { key_id })).toMatchObject({ status: 201 })
    expect(await refused(by({ caller: { ...caller, key_id } }), { key_id: 'gonekey1' })).toBe('forbidden')
    const late = await key('latekey1', ['pdp:admin'], '2026-01-01')
    expect(await refused(by({ caller: late }), { key_id: 'latekey1' })).toBe('forbidden')
    const less = await key('lesskey1', ['pdp:auditor'])
    expect(await refused(by({ caller: less }), { key_id: 'lesskey1' })).toBe('forbidden')
  })

  test('its session', async () => {
    const caller = await admin('logged-in')
    const session_id = '01990000-0000-4000-8000-000000000001'
    await sql`
      insert into sessions (tenant_id, id, subject_type, subject_id, method, created_at, used_at, expires_at)
      values ('acme', ${session_id}, 'user', 'logged-in', 'password', now(), now(), now())`.execute(bench.db)
    expect(await write(by({ caller }), { session_id })).toMatchObject({ status: 201 })
    await sql`update sessions set revoked_at = now() where id = ${session_id}`.execute(bench.db)
    expect(await refused(by({ caller }), { session_id })).toBe('forbidden')
  })

  test('what the registration of its issuer allows', async () => {
    const issuer = { name: 'corp', roles: ['pdp:admin'], allowed: ['pdp:admin'] }
    expect(await refused(by(), { issuer })).toBe('forbidden')
    const body = JSON.stringify({ allowed_roles: ['pdp:admin'] })
    await sql`insert into issuers (tenant_id, name, issuer, body) values ('acme', 'corp', 'https://idp.test', ${body})`.execute(
      bench.db,
    )
    expect(await write(by(), { issuer })).toMatchObject({ status: 201 })
    await sql`update issuers set body = '{"allowed_roles": []}'`.execute(bench.db)
    expect(await refused(by(), { issuer })).toBe('forbidden')
  })

  test('the role of an operator, by whom it acts in another tenant', async () => {
    const acting = operator('acme', 'pdp:acting_operator')
    const settings = () => {
      const caller = { ...acting.caller, key_id: null, session_id: null }
      return bench.administration.settings.put({ ...acting, caller }, { rules_in_answers: written++ % 2 === 0 })
    }
    expect((await refusal(bench, settings)).code).toBe('forbidden')
    await sql`
      insert into assignments (tenant_id, id, subject_type, subject_id, role, granted_by)
      values ('system', gen_random_uuid(), 'user', 'root', 'pdp:operator', '{}')`.execute(bench.db)
    expect(await settings()).toMatchObject({ status: 200 })
  })
})

test('what no call has caused needs nobody to stand behind it', async () => {
  expect(await bench.administration.roles.put(by(), { name: 'preset' })).toMatchObject({ status: 201 })
})
