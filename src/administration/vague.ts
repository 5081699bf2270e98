import type { Problem } from '../failure.ts'
import { CAPABILITIES } from '../policy/capability.ts'
import type { CompiledRule } from '../policy/compiled-rule.ts'
import { under } from '../policy/judgement.ts'
import type { Permission, Role, Rule } from '../policy/model.ts'
import { QUOTAS } from '../policy/quota-index.ts'
import { VagueCount, type VagueRules, vagueTypes } from '../policy/vague-rules.ts'
import type { ReadBundle } from './bundle/document.ts'
import { slices } from './bundle/slices.ts'
import type { Change } from './change.ts'

/** A rule, or a permission of a role, and where it stands in what was sent. */
interface Placed {
  readonly pointer: string
  readonly parts: Pick<Permission, 'actions' | 'resources'>
}

/** Says where a rule would be one too many of those with vague patterns of ids. One that is off is in nobody's way. */
export function vagueRule(change: Change, rule: Rule): Promise<Problem[]> {
  return tooVague(change, ofRule('', rule), (other) => isRule(other) && other.name === rule.name)
}

export function vagueCapability(change: Change, parts: Placed['parts']): Promise<Problem[]> {
  return tooVague(change, [{ pointer: '', parts }], () => false)
}

export function vagueQuota(change: Change, rule: Rule): Promise<Problem[]> {
  return tooVague(change, ofRule('', rule), (other) => isQuota(other) && other.name === rule.name)
}

export function vagueRole(change: Change, role: Role): Promise<Problem[]> {
  return tooVague(change, ofRole('', role), (other) => isPermission(other) && other.name === role.name)
}

/** The same of a whole bundle: a section that it leaves alone stands in the tenant. */
export async function vagueInBundle(
  standing: () => Promise<VagueRules>,
  { rules, roles }: ReadBundle['sections'],
): Promise<Problem[]> {
  const vague: Placed[] = []
  for await (const slice of slices(roles ?? [])) {
    for (const { place, document } of slice) vague.push(...ofRole(`/roles/${place}`, document).filter(isVague))
  }
  for await (const slice of slices(rules ?? [])) {
    for (const { place, document } of slice) vague.push(...ofRule(`/rules/${place}`, document).filter(isVague))
  }
  if (vague.length === 0) return []
  const count = new VagueCount()
  // No bundle has capabilities or quotas: they stand in the tenant whatever it declares.
  const isLeft = (rule: CompiledRule) =>
    isCapability(rule) || isQuota(rule) || (isPermission(rule) ? roles : rules) === undefined
  for (const [type, rule] of (await standing()).all()) if (isLeft(rule)) count.note(type, rule)
  return vague.flatMap((one) => added(count, one))
}

async function tooVague(
  change: Change,
  written: readonly Placed[],
  isReplaced: (rule: CompiledRule) => boolean,
): Promise<Problem[]> {
  const vague = written.filter(isVague)
  if (vague.length === 0) return []
  const types = new Set(vague.flatMap(({ parts }) => [...vagueTypes(parts.resources).keys()]))
  const count = new VagueCount()
  const standing = await change.vague()
  for (const type of types) for (const rule of standing.of(type)) if (!isReplaced(rule)) count.note(type, rule)
  return vague.flatMap((one) => added(count, one))
}

function added(count: VagueCount, { pointer, parts }: Placed): Problem[] {
  return under(pointer, count.add(parts))
}

function isVague({ parts }: Placed): boolean {
  return vagueTypes(parts.resources).size > 0
}

function isPermission({ policy }: CompiledRule): boolean {
  return policy.name === 'roles'
}

function isCapability({ policy }: CompiledRule): boolean {
  return policy.name === CAPABILITIES
}

function isQuota({ policy }: CompiledRule): boolean {
  return policy.name === QUOTAS
}

function isRule(rule: CompiledRule): boolean {
  return !isPermission(rule) && !isCapability(rule) && !isQuota(rule)
}

function ofRule(pointer: string, rule: Rule): Placed[] {
  return rule.enabled === false ? [] : [{ pointer, parts: rule }]
}

function ofRole(pointer: string, { permissions = [] }: Role): Placed[] {
  return permissions.map((parts, place) => ({ pointer: `${pointer}/permissions/${place}`, parts }))
}
