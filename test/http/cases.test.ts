import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { differences } from '../../src/policy/cases.ts'
import { allSuites, type Suite } from '../support/cases.ts'
import { filling } from '../support/fill.ts'
import { startService, type TestService } from '../support/service.ts'

/**
 * The cases of ../policy/cases.test.ts, asked of a real service: each policy stored in Postgres in a tenant of its own,
 * loaded from there, and questioned through the door.
 */
const suites = await allSuites()
let verdict: TestService
let fill: Awaited<ReturnType<typeof filling>>

beforeAll(async () => {
  verdict = await startService()
  fill = await filling(verdict)
  // The service reads the clock of this process, so that a case is decided when it says. Timers go on as they are.
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterAll(async () => {
  vi.useRealTimers()
  await verdict.close()
})

describe.each(suites.map((suite, place) => [suite.name, suite, `cases-${place}`] as const))(
  '%s',
  (_name, suite, tenant) => {
    let key: string
    let min_revision: number

    beforeAll(async () => {
      vi.setSystemTime('2030-01-01T00:00:00Z')
      key = await tenantWith(suite, tenant)
      min_revision = await given(suite, tenant)
    })

    test.each(suite.cases.map((one) => [one.name, one] as const))('%s', async (_title, { request, now, want }) => {
      vi.setSystemTime(now)
      const { status, body } = await verdict.ask('POST /v1/authorize', {
        key,
        body: { ...request, options: { min_revision } },
      })
      expect(status).toBe(200)
      const { reason, rules, obligations } = body.context
      expect(differences(want, { decision: body.decision, reason, rules, obligations })).toEqual([])
    })

    test('AuthZEN answers the same to every one, asked alone and in a batch', async () => {
      for (const now of new Set(suite.cases.map((one) => one.now))) {
        vi.setSystemTime(now)
        const cases = suite.cases.filter((one) => one.now === now)
        const options = { min_revision, reasons: true }
        const batch = await verdict.ask('POST /access/v1/evaluations', {
          key,
          body: { evaluations: cases.map(({ request }) => request), options },
        })
        for (const [at, { request, want, name }] of cases.entries()) {
          const single = await verdict.ask('POST /access/v1/evaluation', { key, body: { ...request, options } })
          expect([name, single.body]).toEqual([name, batch.body.evaluations[at]])
          const { reason, rules, obligations = [] } = single.body.context
          const found = differences(want, { decision: single.body.decision, reason, rules, obligations })
          expect([name, found]).toEqual([name, []])
        }
      }
    })

    /** A tenant of its own, and a key that may ask and give built-in roles there. */
    async function tenantWith({ name }: Suite, id: string): Promise<string> {
      await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id, name } })
      const subject = { type: 'service', id: 'cases' }
      const { body } = await verdict.ask('POST /v1/api-keys', {
        key: verdict.rootKey,
        headers: { 'verdict-tenant': id },
        body: { name: 'cases', subject, roles: ['pdp:admin'] },
      })
      return body.key
    }

    /** Built-in roles lie outside bundles: they are given one by one. */
    async function given({ bundle }: Suite, id: string): Promise<number> {
      const { assignments = [] } = bundle
      const own = assignments.filter(({ role }) => !role.startsWith('pdp:'))
      let revision = await fill(id, { ...bundle, assignments: own })
      for (const assignment of assignments.filter((one) => !own.includes(one))) {
        const { headers } = await verdict.ask('POST /v1/assignments', { key, body: assignment })
        revision = Number(headers.get('verdict-revision'))
      }
      return revision
    }
  },
)
