import type { Considered, Why } from '../../policy/why.ts'

const OUTCOMES: Readonly<Record<Considered['outcome'], string>> = {
  applies: 'applies',
  condition_fails: 'its condition is not met',
  condition_errs: 'its condition cannot be told: it errs',
  not_in_force: 'is not valid at that time',
  not_targeted: 'the target of its policy does not match',
}

/** Why a decision is what it is, in lines for people. */
export function explanation({ roles, unsure, considered }: Why): string[] {
  const rules = considered.map(
    ({ rule, place, effect, outcome }) => `${rule}${permission(rule, place)} (${effect}): ${OUTCOMES[outcome]}`,
  )
  return [
    `roles held: ${roles.join(', ') || 'none'}`,
    ...(unsure.length > 0 ? [`roles that cannot be told, since a condition errs: ${unsure.join(', ')}`] : []),
    ...(rules.length > 0 ? rules : ['no rule is about this subject, action and resource']),
  ]
}

/** The permissions of a role have one key. */
function permission(rule: string, place: number): string {
  return rule.startsWith('roles/') ? `, permission ${place + 1}` : ''
}
