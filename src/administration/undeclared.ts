import type { Problem } from '../failure.ts'
import { type RuleLike, typesNamed, undeclaredInRule } from '../policy/undeclared.ts'
import { withMembers } from '../store/entities.ts'
import { declaredTypes } from '../store/types.ts'
import type { Change } from './change.ts'

/** What a rule, or what is one as far as its subjects, actions and resources go, names that its types do not declare. */
export async function undeclaredNames({ trx, tenant }: Change, rule: RuleLike): Promise<Problem[]> {
  const declared = await declaredTypes(trx, tenant, typesNamed(rule))
  if (declared.size === 0) return undeclaredInRule(rule, declared, () => false)
  const named = rule.subjects.flatMap((one) => ('id' in one ? [one] : []))
  const groups = await withMembers(trx, tenant, named)
  const isAlone = (type: string, id: string) => !groups.some((group) => group.type === type && group.id === id)
  return undeclaredInRule(rule, declared, isAlone)
}
