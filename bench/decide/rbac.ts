import { counted, type Mix } from './mix.ts'

/**
 * Casbin's own benchmark, at its own sizes (https://casbin.org/docs/benchmark): ten roles may read each of a tenth as
 * many data, and ten users have each role. The size counts both its policies and its groupings: the latter are
 * assignments here.
 */
export const casbinRbac: Mix = {
  name: 'casbin-rbac',
  about:
    'casbin’s own RBAC benchmark: 100, 1,000 and 10,000 roles with a rule each, ten roles to a datum, ten users to a ' +
    'role, whose assignments the number of rules counts too; half of the questions about the user’s own datum',
  sizes: [1100, 11_000, 110_000],
  world(size) {
    const roles = Math.round(size / 11)
    const datumOf = (role: number) => Math.floor(role / 10)
    const roleOf = (user: number) => Math.floor(user / 10)
    return {
      rules: roles,
      roles: counted(roles, (at) => ({ name: `group${at}` })),
      rule: (at) => ({
        name: `r${at}`,
        effect: 'allow',
        subjects: [{ role: `group${at}` }],
        actions: ['read'],
        resources: [{ type: 'data', id: `data${datumOf(at)}` }],
      }),
      assignments: counted(10 * roles, (user) => ({
        subject: { type: 'user', id: `user${user}` },
        role: `group${roleOf(user)}`,
      })),
      question(dice) {
        const user = dice.below(10 * roles)
        const own = datumOf(roleOf(user))
        const datum = dice.chance(2) ? own : dice.below(roles / 10)
        const request = {
          subject: { type: 'user', id: `user${user}` },
          action: { name: 'read' },
          resource: { type: 'data', id: `data${datum}` },
        }
        return datum === own
          ? { request, reason: 'allowed_by_rule', rules: [`default/r${roleOf(user)}`] }
          : { request, reason: 'no_applicable_rule', rules: [] }
      },
    }
  },
}
