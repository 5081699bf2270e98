import type { AccessRequest, Entity, Rule } from '../../src/policy/model.ts'
import { ANY, counted, type Mix, READ } from './mix.ts'

const WAYS = 10

/** Ten rules apply to each question, found in ten different ways, one of them with a condition. */
export const tenWays: Mix = {
  name: 'ten-ways',
  about:
    'ten rules apply to each question, found in ten ways (exact id, prefix, leading wildcard, within a folder, owner by ' +
    'condition, user, role, group, any type, any action); where the document’s number ends in 9 one of them denies',
  world(size) {
    const count = Math.floor(size / WAYS)
    return {
      rules: count * WAYS,
      rule: (at) => ruleOf(at % WAYS, Math.floor(at / WAYS)),
      roles: counted(count, (at) => ({ name: `role${at}` })),
      entities: counted(2 * count, (nth) => entityOf(nth % 2 === 0, Math.floor(nth / 2))),
      assignments: counted(count, (at) => ({ subject: { type: 'user', id: `u${at}` }, role: `role${at}` })),
      question(dice) {
        const subject = dice.below(count)
        const resource = dice.below(count)
        const denied = resource % 10 === 9
        const ways = Array.from({ length: WAYS }, (_, way) => nameOf(way, way < PLACES ? resource : subject))
        const names = denied ? [nameOf(0, resource)] : ways
        return {
          request: asking(subject, resource),
          reason: denied ? 'denied_by_rule' : 'allowed_by_rule',
          rules: names.map((name) => `default/${name}`).sort(),
        }
      },
    }
  },
}

/** As many of the ways go by the document's number, the others by the user's. */
const PLACES = 5
const NAMES = ['exact', 'prefix', 'wildcard', 'within', 'owner', 'user', 'role', 'group', 'any-type', 'any-action']

function nameOf(way: number, at: number): string {
  return `${NAMES[way]}-${at}`
}

function ruleOf(way: number, at: number): Rule {
  const exact = [{ type: 'document', id: `p${at}/d${at}` }]
  const user = [{ type: 'user', id: `u${at}` }]
  const role = [{ role: `role${at}` }]
  const documents = [{ type: 'document' }]
  const parts: readonly Pick<Rule, 'subjects' | 'resources' | 'condition'>[] = [
    { subjects: ANY, resources: exact },
    { subjects: ANY, resources: [{ type: 'document', id: `p${at}/**` }] },
    { subjects: ANY, resources: [{ type: 'document', id: `**/d${at}` }] },
    { subjects: ANY, resources: [{ type: 'document', within: { type: 'folder', id: `f${at}` } }] },
    { subjects: ANY, resources: exact, condition: 'resource.properties.owner == subject.id' },
    { subjects: user, resources: documents },
    { subjects: role, resources: documents },
    { subjects: [{ type: 'group', id: `g${at}` }], resources: documents },
    { subjects: role, resources: [{ type: '*' }] },
    { subjects: user, resources: documents },
  ]
  const { subjects = ANY, resources = documents, ...condition } = parts[way] ?? {}
  const effect = way === 0 && at % 10 === 9 ? 'deny' : 'allow'
  const actions = [way === WAYS - 1 ? 'document:*' : READ]
  return { name: nameOf(way, at), effect, subjects, actions, resources, ...condition }
}

function entityOf(isUser: boolean, at: number): Entity {
  return isUser
    ? { type: 'user', id: `u${at}`, parents: [{ type: 'group', id: `g${at}` }] }
    : { type: 'document', id: `p${at}/d${at}`, parents: [{ type: 'folder', id: `f${at}` }] }
}

function asking(subject: number, resource: number): AccessRequest {
  return {
    subject: { type: 'user', id: `u${subject}` },
    action: { name: READ },
    resource: { type: 'document', id: `p${resource}/d${resource}`, properties: { owner: `u${subject}` } },
    context: { ip: '10.0.0.1' },
  }
}
