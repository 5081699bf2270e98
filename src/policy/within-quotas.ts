import type { AccessRequest, Decision, Obligation } from './model.ts'
import { withoutRepeats } from './obligations.ts'
import type { CompiledQuota } from './quota-index.ts'
import { type Draw, type QuotaUse, staticUse, uncounted, unitsOf } from './quota-use.ts'

/**
 * A decision that was allowed, with the quotas that it is about. Static limits come first: what is beyond one is denied,
 * and takes nothing. What counters have is not known here: what is to be taken of them is told. `refused` is what a deny
 * carries. `rules` stay those that allowed it: they say what was asked for, the quotas why it was not given.
 */
export function withinQuotas(
  decision: Decision,
  quotas: readonly CompiledQuota[],
  request: AccessRequest,
  refused: () => readonly Obligation[],
): Decision {
  if (quotas.length === 0) return decision
  const uses: QuotaUse[] = []
  const draws: Draw[] = []
  let isBeyond = false
  for (const quota of quotas) {
    const use = useOf(quota, request, draws)
    if (use.exceeded === true) isBeyond = true
    uses.push(use)
  }
  const { rules, obligations } = decision
  if (isBeyond) return { decision: false, reason: 'quota_exceeded', rules, obligations: refused(), quotas: uses }
  const { reason } = decision
  if (draws.length === 0) return { decision: true, reason, rules, obligations, quotas: uses }
  return { decision: true, reason, rules, obligations, quotas: uses, taking: { draws, refused: refused() } }
}

function useOf(quota: CompiledQuota, request: AccessRequest, draws: Draw[]): QuotaUse {
  if (quota.window_seconds === undefined || quota.broken) return staticUse(quota, request)
  const units = unitsOf(quota, request)
  const { type, id } = countedFor(quota, request)
  if (!Number.isNaN(units)) draws.push({ quota, type, id, units })
  return uncounted(quota, units)
}

const TENANT = { type: '', id: '' }

/** Whose units are counted: the very one that asks or is asked about, never a group that it is in. */
function countedFor({ per }: CompiledQuota, { subject, resource }: AccessRequest): { type: string; id: string } {
  if (per === 'tenant') return TENANT
  return per === 'subject' ? subject : resource
}

/** The quotas of decisions that are one, each once: what one of them is about, all of them are. */
export function quotasOfAll(decisions: readonly Decision[]): Pick<Decision, 'quotas' | 'taking'> {
  const uses = new Map<string, QuotaUse>()
  const draws = new Map<string, Draw>()
  for (const { quotas = [], taking } of decisions) {
    for (const use of quotas) uses.set(use.name, use)
    for (const draw of taking?.draws ?? []) draws.set(draw.quota.name, draw)
  }
  if (uses.size === 0) return {}
  const quotas = [...uses.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  if (draws.size === 0) return { quotas }
  const refused = withoutRepeats(decisions.flatMap(({ taking }) => taking?.refused ?? []))
  return { quotas, taking: { draws: [...draws.values()], refused } }
}
