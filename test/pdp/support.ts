import { expect } from 'vitest'
import { Redactor } from '../../src/audit/redactor.ts'
import { TrustedTokens } from '../../src/authn/issuer/trusted-tokens.ts'
import { type Asking, createPdp, type Pdp, type PdpParts } from '../../src/pdp.ts'
import type { Source } from '../../src/snapshot/source.ts'
import type { Granted, Reservation, Unused } from '../../src/store/quota-counters.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { over } from '../snapshot/support.ts'

/** The table of counters, as `store/quota-counters.ts` keeps it, in a map; statements take a turn or more. */
export class Table {
  readonly rows = new Map<string, number>()
  statements = 0
  isAway = false
  readonly sizes: number[] = []

  readonly reserve = async (_tenant: string, asked: readonly Reservation[]): Promise<readonly Granted[]> => {
    this.statements++
    await new Promise((resolve) => setImmediate(resolve))
    if (this.isAway) throw new Error('away')
    expect(new Set(asked.map(rowOf)).size).toBe(asked.length)
    return asked.map((one) => {
      const before = this.rows.get(rowOf(one)) ?? 0
      const left = one.limit - before
      const granted = Math.max(0, Math.min(left, Math.max(one.needed, Math.min(one.wanted, Math.floor(left / 16)))))
      this.rows.set(rowOf(one), before + granted)
      this.sizes.push(granted)
      return { quota: one.quota, counter: one.counter, granted, reserved: before + granted }
    })
  }

  readonly handBack = async (_tenant: string, unused: readonly Unused[]): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.isAway) throw new Error('away')
    for (const one of unused) this.rows.set(rowOf(one), Math.max(0, (this.rows.get(rowOf(one)) ?? 0) - one.units))
  }

  get reserved(): number {
    return [...this.rows.values()].reduce((sum, units) => sum + units, 0)
  }
}

const rowOf = ({ quota, counter, start }: Pick<Reservation, 'quota' | 'counter' | 'start'>) =>
  JSON.stringify([quota, counter, start])

/** The use case over a database whose tokens and contexts nobody asks for. */
export function pdpOver(database: Source, parts: Pick<PdpParts, 'trail' | 'clock' | 'quotas'>): Pdp {
  return createPdp({
    snapshots: over(database),
    tokens: new TrustedTokens({
      parseJson: (bytes) => JSON.parse(bytes.toString()),
      fetchJson: nobody,
      warn: () => {},
    }),
    contexts: { sign: nobody, verify: () => undefined, refusal: () => undefined },
    metrics: new Metrics(),
    redactor: new Redactor(Buffer.alloc(32)),
    ...parts,
  })
}

async function nobody(): Promise<never> {
  throw new Error('nobody is asked')
}

export const asking = (): Asking => ({
  caller: {
    tenant: 'acme',
    subject: { type: 'service', id: 'web' },
    method: 'api_key',
    key_id: 'k',
    key_roles: null,
    session_id: null,
    issuer: null,
  },
  tenant: 'acme',
  origin: { ip: null, user_agent: null, request_id: null, trace_id: null },
  began: performance.now(),
  recorded: false,
})
