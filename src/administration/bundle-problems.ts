import type { Problem } from '../failure.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import { judgeEntities } from '../policy/judgement.ts'
import type { Assignment, Bundle, Role, Rule } from '../policy/model.ts'
import { checkAssignment, checkEntity, checkPolicy, checkRole, checkRule, checkType } from '../policy/parse.ts'
import { normalEntity, policyOf } from './normal.ts'
import { parentCycles, repeatedParents } from './parents.ts'
import type { Naming } from './references.ts'
import { edgesOf, namedRoles, roleCycles } from './roles.ts'
import { isBuiltInPolicy, rolesOfSubjects } from './rules.ts'

/** All that is wrong with a bundle for a tenant that has nothing else: with each thing by itself, and among them. */
export function bundleProblems(bundle: Bundle): Problem[] {
  const { types = [], policies = [], roles = [], rules = [], entities = [], assignments = [] } = bundle
  const wrongTypes = inSection('types', types, checkType)
  return [
    ...wrongTypes,
    ...inSection('policies', policies, checkPolicy),
    ...inSection('roles', roles, checkRole),
    ...inSection('rules', rules, checkRule),
    ...inSection('entities', entities, checkEntity),
    ...inSection('entities', entities, repeatedParents),
    ...inSection('assignments', assignments, checkAssignment),
    ...twice('types', types, ({ name }) => [name]),
    ...twice('policies', policies, ({ name }) => [name]),
    ...twice('roles', roles, ({ name }) => [name]),
    ...twice('rules', rules, ({ name }) => [name]),
    ...twice('entities', entities, ({ type, id }) => [type, id]),
    ...unknownNames(bundle),
    ...neverStored(bundle),
    ...(wrongTypes.length === 0 ? judgeEntities(bundle).problems : []),
    ...roleCycles(
      roles.map((role, place) => ({ pointer: `/roles/${place}`, role })),
      roles.flatMap(edgesOf),
    ),
    ...parentCycles(
      entities.map((entity, place) => ({ pointer: `/entities/${place}`, entity: normalEntity(entity) })),
      [],
    ),
  ]
}

function inSection<T>(section: string, items: readonly T[], check: (item: T) => readonly Problem[]): Problem[] {
  return items.flatMap((item, place) =>
    check(item).map(({ pointer, detail }) => ({ pointer: `/${section}/${place}${pointer}`, detail })),
  )
}

function twice<T>(section: string, items: readonly T[], keyOf: (item: T) => readonly string[]): Problem[] {
  const seen = new Set<string>()
  return items.flatMap((item, place) => {
    const key = JSON.stringify(keyOf(item))
    const again = seen.has(key)
    seen.add(key)
    return again ? [{ pointer: `/${section}/${place}`, detail: `it stands twice in ${section}` }] : []
  })
}

function unknownNames({ policies = [], roles = [], rules = [], assignments = [] }: Bundle): Problem[] {
  const known = new Set(roles.map(({ name }) => name))
  const unknown = (namings: readonly Naming[]) =>
    namings
      .filter(({ name }) => !isBuiltIn(name) && !known.has(name))
      .map(({ pointer, name }) => ({ pointer, detail: `there is no role ${name} in the bundle` }))
  const sets = new Set(policies.map(({ name }) => name))
  const unknownPolicy = (rule: Rule) => {
    const policy = policyOf(rule)
    if (isBuiltInPolicy(policy) || sets.has(policy)) return []
    return [{ pointer: '/policy', detail: `there is no policy ${policy} in the bundle` }]
  }
  return [
    ...inSection('roles', roles, (role: Role) => unknown(namedRoles(role))),
    ...inSection('rules', rules, (rule) => [...unknownPolicy(rule), ...unknown(rolesOfSubjects(rule))]),
    ...inSection('assignments', assignments, ({ role }) => [
      ...unknown([{ pointer: '/role', name: role }]),
      ...(isBuiltIn(role) ? [{ pointer: '/role', detail: 'built-in roles lie outside bundles' }] : []),
    ]),
  ]
}

function neverStored({ types = [], entities = [], assignments = [] }: Bundle): Problem[] {
  const never = new Set(types.filter(({ stored }) => stored === 'never').map(({ name }) => name))
  const problem = (pointer: string, type: string) =>
    never.has(type) ? [{ pointer, detail: `the type ${type} is declared never to be stored` }] : []
  return [
    ...inSection('entities', entities, ({ type }) => problem('/type', type)),
    ...inSection('assignments', assignments, ({ subject }: Assignment) => problem('/subject/type', subject.type)),
  ]
}
