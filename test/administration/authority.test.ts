import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Write } from '../../src/administration.ts'
import { type Bench, by, digest, openBench, operator, refusal } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
  const { api_keys, assignments, roles, entities } = bench.administration
  await roles.put(by(), { name: 'editor' })
  await api_keys.create(by(), { name: 'admin', subject: { type: 'user', id: 'ada' }, roles: ['pdp:admin'] })
  await api_keys.create(by(), { name: 'gateway', subject: gateway, roles: ['pdp:decider'] })
  await assignments.create(by(), { subject: auditor, role: 'pdp:auditor' })
  await entities.put(by(), { ...auditor, parents: [team] })
  await entities.put(by(), team)
  await assignments.create(operator(), { subject: { type: 'user', id: 'root' }, role: 'pdp:operator' })
  await assignments.create(operator(), { subject: { type: 'user', id: 'root' }, role: 'pdp:admin' })
})
afterAll(() => bench.close())

const gateway = { type: 'service', id: 'gateway' }
const auditor = { type: 'user', id: 'audrey' }
const team = { type: 'group', id: 'team' }
const nobody = { type: 'user', id: 'nobody' }

const admin = by()
const policyAdmin = by({ caller: { ...by().caller, subject: { type: 'user', id: 'pa' } } }, 'pdp:policy_admin')
const asPolicyAdmin: Write = { ...policyAdmin, caller: { ...policyAdmin.caller, roles: ['pdp:policy_admin'] } }
const entityWriter: Write = { ...asPolicyAdmin, caller: { ...asPolicyAdmin.caller, roles: ['pdp:entity_writer'] } }
const acting = operator('acme')
const onlyOperator = operator('system', 'pdp:operator')
const systemAdmin = operator('system', 'pdp:admin')

/** Does the work and reports how it ended; what it wrote is left, what it refused must have left nothing. */
async function outcome(work: () => Promise<unknown>): Promise<string> {
  const before = await digest(bench.db)
  try {
    await work()
    return 'done'
  } catch (error) {
    expect(await digest(bench.db)).toBe(before)
    return error instanceof Error && 'code' in error ? `${error.code}` : `${error}`
  }
}

describe('giving and taking built-in roles', () => {
  const give = (write: Write, role: string) => () =>
    bench.administration.assignments.create(write, { subject: nobody, role })
  const key = (write: Write, roles: string[]) => () =>
    bench.administration.api_keys.create(write, { name: 'k', subject: nobody, roles })

  test.each<[string, string, () => Promise<unknown>]>([
    ['forbidden', 'a policy admin gives pdp:decider', () => give(asPolicyAdmin, 'pdp:decider')()],
    ['forbidden', 'an entity writer gives pdp:entity_writer', () => give(entityWriter, 'pdp:entity_writer')()],
    ['done', 'an admin gives pdp:auditor', () => give(admin, 'pdp:auditor')()],
    ['done', 'an operator acting in the tenant gives pdp:admin', () => give(acting, 'pdp:admin')()],
    ['unprocessable', 'an admin gives pdp:operator outside system', () => give(admin, 'pdp:operator')()],
    ['unprocessable', 'an operator gives pdp:operator in another tenant', () => give(acting, 'pdp:operator')()],
    ['forbidden', 'an admin of system gives pdp:operator', () => give(systemAdmin, 'pdp:operator')()],
    ['done', 'an operator gives pdp:operator in system', () => give(onlyOperator, 'pdp:operator')()],
    ['forbidden', 'an operator that is no admin gives pdp:admin in system', () => give(onlyOperator, 'pdp:admin')()],
    ['unprocessable', 'an admin gives a built-in role that there is not', () => give(admin, 'pdp:root')()],
    ['forbidden', 'a policy admin makes a key with pdp:decider', () => key(asPolicyAdmin, ['pdp:decider'])()],
    ['done', 'an admin makes a key with pdp:decider', () => key(admin, ['pdp:decider'])()],
    ['unprocessable', 'an admin makes a key with a role of the tenant', () => key(admin, ['editor'])()],
    ['unprocessable', 'an admin makes a key with pdp:operator', () => key(admin, ['pdp:admin', 'pdp:operator'])()],
    ['forbidden', 'an admin of system makes a key with pdp:operator', () => key(systemAdmin, ['pdp:operator'])()],
    ['done', 'an operator acting in the tenant makes a key', () => key(acting, ['pdp:admin'])()],
  ])('%s: %s', async (wanted, _, work) => {
    expect(await outcome(work)).toBe(wanted)
  })

  test('a built-in role is never given within something', async () => {
    const scoped = { subject: nobody, role: 'pdp:auditor', within: team }
    const refused = await refusal(bench, () => bench.administration.assignments.create(admin, scoped))
    expect(refused).toMatchObject({ code: 'unprocessable', pointers: ['/within'] })
  })
})

describe('touching a holder of a built-in role', () => {
  test.each<[string, string, () => Promise<unknown>]>([
    [
      'forbidden',
      'an entity writer writes the subject of a key with roles',
      () => bench.administration.entities.put(entityWriter, gateway),
    ],
    [
      'forbidden',
      'a policy admin writes the entity of an assigned auditor',
      () => bench.administration.entities.put(asPolicyAdmin, { ...auditor, disabled: true }),
    ],
    ['forbidden', 'an entity writer deletes it', () => bench.administration.entities.delete(entityWriter, auditor)],
    [
      'forbidden',
      'an entity writer deletes the group that it is in',
      () => bench.administration.entities.delete(entityWriter, team),
    ],
    [
      'forbidden',
      'a policy admin gives it a role',
      () => bench.administration.assignments.create(asPolicyAdmin, { subject: auditor, role: 'editor' }),
    ],
    [
      'forbidden',
      'a key that acts as it is made by a policy admin',
      () => bench.administration.api_keys.create(asPolicyAdmin, { name: 'k', subject: auditor }),
    ],
    [
      'done',
      'a key that acts as it is made by an admin',
      () => bench.administration.api_keys.create(admin, { name: 'k', subject: auditor }),
    ],
    [
      'forbidden',
      'a bulk holds it among others',
      () => bench.administration.entities.bulk(entityWriter, holderAmongOthers()),
    ],
    [
      'done',
      'an admin writes it',
      () => bench.administration.entities.put(admin, { ...auditor, properties: { x: 1 }, parents: [team] }),
    ],
    [
      'done',
      'an entity writer writes somebody else',
      () => bench.administration.entities.put(entityWriter, { type: 'user', id: 'else' }),
    ],
    [
      'forbidden',
      'an admin of system makes a key that acts as an operator',
      () => bench.administration.api_keys.create(systemAdmin, { name: 'k', subject: { type: 'user', id: 'root' } }),
    ],
    [
      'done',
      'an operator and admin makes it',
      () => bench.administration.api_keys.create(operator(), { name: 'k', subject: { type: 'user', id: 'root' } }),
    ],
  ])('%s: %s', async (wanted, _, work) => {
    expect(await outcome(work)).toBe(wanted)
  })

  async function* holderAmongOthers() {
    yield { line: 1, entity: { type: 'user', id: 'first' } }
    yield { line: 2, entity: gateway }
  }
})

describe('an operator acting in another tenant', () => {
  test.each<[string, string, () => Promise<unknown>]>([
    [
      'forbidden',
      'gives a role of the tenant',
      () => bench.administration.assignments.create(acting, { subject: nobody, role: 'editor' }),
    ],
    ['forbidden', 'writes an entity', () => bench.administration.entities.put(acting, { type: 'user', id: 'x' })],
    ['forbidden', 'writes a role', () => bench.administration.roles.put(acting, { name: 'x' })],
    ['done', 'writes its settings', () => bench.administration.settings.put(acting, { audit_mode: 'commit' })],
    [
      'forbidden',
      'is no operator, and writes its settings',
      () => bench.administration.settings.put(operator('acme', 'pdp:admin'), {}),
    ],
  ])('%s: %s', async (wanted, _, work) => {
    expect(await outcome(work)).toBe(wanted)
  })

  test('is recorded in both tenants', async () => {
    bench.announced.length = 0
    const answer = await bench.administration.settings.put(acting, { rules_in_answers: false })
    const records = bench.announced.map(({ tenant, event }) => ({ tenant, event: JSON.parse(event) }))
    expect(records.map(({ tenant }) => tenant)).toEqual(['acme', 'system'])
    expect(records[0]?.event).toMatchObject({
      tenant: 'acme',
      actor: { id: 'root', tenant: 'system' },
      revision: answer.revision,
    })
    expect(records[1]?.event).toMatchObject({ tenant: 'system', context: { tenant: 'acme' } })
  })
})

describe('the last admin', () => {
  test('of a tenant can be removed neither by its assignment, its key, nor its entity', async () => {
    const { tenants, assignments, api_keys, entities } = bench.administration
    await tenants.create(operator(), { id: 'lonely', name: 'Lonely' })
    const alone = { ...by(), tenant: 'lonely', caller: { ...by().caller, tenant: 'lonely' } }
    const subject = { type: 'user', id: 'ada' }
    const key = await api_keys.create(operator('lonely'), { name: 'first', subject, roles: ['pdp:admin'] })
    expect(await outcome(() => api_keys.delete(alone, key.body.id))).toBe('conflict')
    expect(await outcome(() => entities.put(alone, { ...subject, disabled: true }))).toBe('conflict')
    const given = await assignments.create(alone, { subject, role: 'pdp:admin' })
    expect(await outcome(() => api_keys.delete(alone, key.body.id))).toBe('done')
    expect(await outcome(() => assignments.delete(alone, given.body.id))).toBe('conflict')
    await entities.put(alone, subject)
    expect(await outcome(() => entities.delete(alone, subject))).toBe('conflict')
    expect(await outcome(() => entities.put(alone, { ...subject, disabled: true }))).toBe('conflict')
    const expired = { subject: nobody, role: 'pdp:admin', valid_until: '2020-01-01T00:00:00Z' }
    await assignments.create(alone, expired)
    expect(await outcome(() => assignments.delete(alone, given.body.id))).toBe('conflict')
    await assignments.create(alone, { subject: nobody, role: 'pdp:admin' })
    expect(await outcome(() => assignments.delete(alone, given.body.id))).toBe('done')
  })

  test('somebody may be disabled in a tenant that has no admin at all', async () => {
    await bench.administration.tenants.create(operator(), { id: 'headless', name: 'Headless' })
    const alone = { ...entityWriter, tenant: 'headless', caller: { ...entityWriter.caller, tenant: 'headless' } }
    expect(await outcome(() => bench.administration.entities.put(alone, { ...nobody, disabled: true }))).toBe('done')
  })
})
