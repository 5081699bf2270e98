import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bench, by, FIRST_PAGE, openBench, operator, refusal, revisionOf } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

describe('tenants', () => {
  test("writing a tenant makes a revision of system, not of the tenant's own", async () => {
    const { tenants } = bench.administration
    const created = await tenants.create(operator(), { id: 'new', name: 'New' })
    expect(created).toMatchObject({
      status: 201,
      revision: 1,
      body: { id: 'new', status: 'active', revision: 0, version: 1 },
    })
    const renamed = await tenants.patch(operator(), 'new', { name: 'Newer' })
    expect(renamed).toMatchObject({ status: 200, revision: 2, body: { name: 'Newer', status: 'active' } })
    expect(await tenants.get('new')).toEqual({ body: renamed.body, version: 2 })
    expect([await revisionOf(bench.db, 'system'), await revisionOf(bench.db, 'new')]).toEqual([2, 0])
    expect(await tenants.patch(operator(), 'new', { status: 'active' })).toMatchObject({ revision: 2, recorded: false })
  })

  test('a suspended tenant is not written by its own callers, and is by an operator that acts in it', async () => {
    const { tenants, settings } = bench.administration
    await tenants.patch(operator(), 'other', { status: 'suspended' })
    const own = by({ tenant: 'other', caller: { ...by().caller, tenant: 'other' } })
    expect(await refusal(bench, () => settings.put(own, { audit_mode: 'commit' }))).toMatchObject({ code: 'forbidden' })
    expect(await settings.put(operator('other'), { audit_mode: 'commit' })).toMatchObject({ status: 200 })
    await tenants.patch(operator(), 'other', { status: 'active' })
    expect(await settings.put(own, { audit_mode: 'journal' })).toMatchObject({ status: 200 })
  })

  test('a deleted tenant is not there any more, and its id is never used again', async () => {
    const { tenants } = bench.administration
    await tenants.create(operator(), { id: 'gone', name: 'Gone' })
    expect(await tenants.delete(operator(), 'gone')).toMatchObject({ status: 204 })
    expect(await refusal(bench, () => tenants.get('gone'))).toMatchObject({ code: 'not_found' })
    expect(await refusal(bench, () => tenants.delete(operator(), 'gone'))).toMatchObject({ code: 'not_found' })
    const again = await refusal(bench, () => tenants.create(operator(), { id: 'gone', name: 'Again' }))
    expect(again).toMatchObject({ code: 'conflict', pointers: ['/id'] })
    expect((await tenants.list(FIRST_PAGE)).items.map(({ id }) => id)).not.toContain('gone')
  })

  test('the tenant system can be neither suspended nor deleted', async () => {
    const { tenants } = bench.administration
    const suspended = await refusal(bench, () => tenants.patch(operator(), 'system', { status: 'suspended' }))
    const deleted = await refusal(bench, () => tenants.delete(operator(), 'system'))
    expect([suspended.code, deleted.code]).toEqual(['conflict', 'conflict'])
    expect(await tenants.patch(operator(), 'system', { name: 'Root' })).toMatchObject({ status: 200 })
  })

  test('only an operator writes tenants', async () => {
    const refused = await refusal(bench, () => bench.administration.tenants.create(by(), { id: 'mine', name: 'Mine' }))
    expect(refused.code).toBe('forbidden')
    const admin = operator('system', 'pdp:admin')
    const byAdmin = await refusal(bench, () => bench.administration.tenants.delete(admin, 'acme'))
    expect(byAdmin.code).toBe('forbidden')
  })
})
