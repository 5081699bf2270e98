import type { Entity, Role } from '../../src/policy/model.ts'
import { counted, decidedBy, decidedByNone, type Mix, numbered } from './mix.ts'

const GROUPS = 100
const ROLES = 50
const RULES_OF_A_TOWER = 1000

/**
 * Towers: a user in a group in a group, 100 of them; the topmost holds a role that inherits another, 50 of them. Rules
 * name groups and roles at every height.
 */
const deep: Mix = {
  name: 'deep',
  about:
    'users below 100 groups, the topmost of which holds a role that inherits 49 others in a row; each rule for a group or ' +
    'a role at some height and a document; half of the questions about what another such user may',
  world(rules) {
    const towers = Math.max(1, Math.floor(rules / RULES_OF_A_TOWER))
    const group = (tower: number, height: number) => ({ type: 'group', id: `t${tower}g${height}` })
    const role = (tower: number, depth: number) => `t${tower}r${depth}`
    return {
      rules,
      roles: counted(towers * ROLES, (nth): Role => {
        const [tower, depth] = [Math.floor(nth / ROLES), nth % ROLES]
        return { name: role(tower, depth), inherits: depth + 1 < ROLES ? [role(tower, depth + 1)] : [] }
      }),
      rule(at) {
        const [tower, place] = [at % towers, Math.floor(at / towers)]
        const subject = place % 2 === 0 ? { role: role(tower, (place / 2) % ROLES) } : group(tower, place % GROUPS)
        return numbered(at, [subject], [{ type: 'document', id: `d${at}` }])
      },
      entities: counted(towers * (GROUPS + 1), (nth): Entity => {
        const [tower, height] = [Math.floor(nth / (GROUPS + 1)), (nth % (GROUPS + 1)) - 1]
        const ref = height < 0 ? { type: 'user', id: `u${tower}` } : group(tower, height)
        return { ...ref, parents: height + 1 < GROUPS ? [group(tower, height + 1)] : [] }
      }),
      assignments: counted(towers, (tower) => ({ subject: group(tower, GROUPS - 1), role: role(tower, 0) })),
      question(dice) {
        const at = dice.below(rules)
        const tower = at % towers
        const other = dice.below(towers)
        if (dice.chance(2)) return decidedBy(at, `u${tower}`, `d${at}`)
        return decidedByNone(other === tower ? `v${other}` : `u${other}`, `d${at}`)
      },
    }
  },
}

const MEMBERS = 100_000

const wide: Mix = {
  name: 'wide',
  about:
    'one group of 100,000 members with all rules, a document each; half of the questions of members of another group',
  world: (rules) => ({
    rules,
    rule: (at) => numbered(at, [{ type: 'group', id: 'everyone' }], [{ type: 'document', id: `d${at}` }]),
    entities: counted(2 * MEMBERS, (at): Entity => {
      const isMember = at < MEMBERS
      const parents = [{ type: 'group', id: isMember ? 'everyone' : 'others' }]
      return { type: 'user', id: isMember ? `u${at}` : `v${at - MEMBERS}`, parents }
    }),
    question(dice) {
      const at = dice.below(rules)
      const who = dice.below(MEMBERS)
      return dice.chance(2) ? decidedBy(at, `u${who}`, `d${at}`) : decidedByNone(`v${who}`, `d${at}`)
    },
  }),
}

export const hierarchies: readonly Mix[] = [deep, wide]
