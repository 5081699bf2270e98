import { hierarchies } from './hierarchies.ts'
import { ANY, counted, decidedBy, decidedByNone, type Mix, numbered } from './mix.ts'
import { casbinRbac } from './rbac.ts'
import { tenWays } from './ten-ways.ts'

const document = (id: string) => [{ type: 'document', id }]
const user = (id: string) => ({ type: 'user', id })

const exactIds: Mix = {
  name: 'exact-ids',
  about: 'each rule for one user and one document; half of the questions about somebody else’s',
  world: (rules) => ({
    rules,
    rule: (at) => numbered(at, [user(`u${at}`)], document(`d${at}`)),
    question(dice) {
      const at = dice.below(rules)
      const other = dice.below(rules)
      return dice.chance(2) || other === at ? decidedBy(at, `u${at}`, `d${at}`) : decidedByNone(`u${other}`, `d${at}`)
    },
  }),
}

const prefixes: Mix = {
  name: 'literal-prefix',
  about: 'each rule for anybody and a folder (`teams/t7/p1234/**`); half of the questions beside every folder',
  world: (rules) => ({
    rules,
    rule: (at) => numbered(at, ANY, document(`teams/t${at % 997}/p${at}/**`)),
    question(dice) {
      const at = dice.below(rules)
      const folder = `teams/t${at % 997}/p${at}`
      const subject = `u${dice.below(rules)}`
      return dice.chance(2)
        ? decidedBy(at, subject, `${folder}/2030/plan-${dice.below(1000)}`)
        : decidedByNone(subject, `${folder}-old/2030/plan-${dice.below(1000)}`)
    },
  }),
}

const wildcards: Mix = {
  name: 'leading-wildcard',
  about:
    'each rule for anybody and a pattern (`**/report-12.pdf`, `**/project-13/**`); half of the questions beside all',
  world: (rules) => ({
    rules,
    rule: (at) => numbered(at, ANY, document(at % 2 === 0 ? `**/report-${at}.pdf` : `**/project-${at}/**`)),
    question(dice) {
      const at = dice.below(rules)
      const subject = `u${dice.below(rules)}`
      const place = `archive/y${dice.below(1000)}`
      if (dice.chance(2)) return decidedByNone(subject, `${place}/report_${at}.pdf`)
      return decidedBy(at, subject, at % 2 === 0 ? `${place}/report-${at}.pdf` : `${place}/project-${at}/plan`)
    },
  }),
}

const STAFF = 1000

const oneRole: Mix = {
  name: 'one-role',
  about: 'one role with all rules, a document each; 1,000 users hold it; half of the questions of others',
  world: (rules) => ({
    rules,
    roles: [{ name: 'staff' }],
    rule: (at) => numbered(at, [{ role: 'staff' }], document(`d${at}`)),
    assignments: counted(STAFF, (at) => ({ subject: user(`u${at}`), role: 'staff' })),
    question(dice) {
      const at = dice.below(rules)
      const which = dice.below(STAFF)
      return dice.chance(2) ? decidedBy(at, `u${which}`, `d${at}`) : decidedByNone(`v${which}`, `d${at}`)
    },
  }),
}

const roleEach: Mix = {
  name: 'role-each',
  about: 'a role for each rule, about all documents, and a user for each role; half of the questions of users without',
  world: (rules) => ({
    rules,
    roles: counted(rules, (at) => ({ name: `role${at}` })),
    rule: (at) => numbered(at, [{ role: `role${at}` }], [{ type: 'document' }]),
    assignments: counted(rules, (at) => ({ subject: user(`u${at}`), role: `role${at}` })),
    question(dice) {
      const at = dice.below(rules)
      const resource = `d${dice.below(rules)}`
      return dice.chance(2) ? decidedBy(at, `u${at}`, resource) : decidedByNone(`v${at}`, resource)
    },
  }),
}

const HELD = 10_000

/** Of the roles that rules name, every second at most; what lacks of 10,000 is held of others. */
const manyAssignments: Mix = {
  name: 'many-assignments',
  about:
    'a role for each rule; one subject, who asks all questions, holds 10,000 roles, every second of them only within a ' +
    'folder; half of the questions about documents of roles that it does not hold',
  world(rules) {
    const held = Math.min(HELD, rules / 2)
    const step = Math.floor(rules / held)
    const within = (at: number) => ({ type: 'folder', id: `f${at}` })
    return {
      rules,
      rule: (at) => numbered(at, [{ role: `role${at}` }], document(`d${at}`)),
      entities: counted(held, (nth) => ({ type: 'document', id: `d${nth * step}`, parents: [within(nth * step)] })),
      assignments: counted(HELD, (nth) => ({
        subject: user('busy'),
        role: nth < held ? `role${nth * step}` : `other${nth}`,
        ...(nth % 2 === 1 && { within: within(nth * step) }),
      })),
      question(dice) {
        const at = dice.below(held) * step
        return dice.chance(2) ? decidedBy(at, 'busy', `d${at}`) : decidedByNone('busy', `d${at + 1}`)
      },
    }
  },
}

export const MIXES: readonly Mix[] = [
  tenWays,
  exactIds,
  prefixes,
  wildcards,
  oneRole,
  roleEach,
  manyAssignments,
  ...hierarchies,
  casbinRbac,
]
