import fc from 'fast-check'

/** Bundles that are right by construction, over few names, with texts and values that formats like to trip over. */

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const
const NASTY = [
  '',
  'plain',
  'yes',
  '1e3',
  '0x10',
  '~',
  'null',
  '- item',
  'a: b # c',
  '"quoted"',
  "it's",
  ' leading',
  'trailing ',
  'two\nlines\n\n  indented\n',
  'line\u2028separator\u2029and\u0085next',
  '\ttab\r\nreturn',
  '&anchor *alias !tag',
  '{flow: [',
  '---',
  '...',
  '%YAML',
  '<<',
  '\ufeffmark',
  '😀',
] as const

const nasty = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\u0000') && text.isWellFormed()),
)
const key = nasty.filter((text) => text !== '__proto__')
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    nasty,
    // Greater whole numbers than those are refused at the door.
    fc.double({ noNaN: true, min: -(2 ** 53) + 1, max: 2 ** 53 - 1 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value
const properties = fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true })

const name = fc.constantFrom(...NAMES)
const description = nasty
const identifier = fc.constantFrom('user', 'group', 'doc ument', 'x/y:z', 'a"b', "c'd", '😀')
const ref = fc.record({ type: fc.constantFrom('user', 'group'), id: identifier })
const instant = (year: number) =>
  fc.option(fc.constantFrom(`${year}-01-01T00:00:00Z`, `${year}-06-01T12:00:00.5+02:00`), { nil: null })
const optional = <T, K extends keyof T>(model: { [P in keyof T]: fc.Arbitrary<T[P]> }, requiredKeys: K[]) =>
  fc.record(model, { requiredKeys })

const obligations = fc.array(optional({ id: identifier, type: identifier, properties }, ['id', 'type']), {
  maxLength: 2,
})
const condition = fc.option(fc.constantFrom('resource.id == subject.id', 'context.n > 1 &&\n  "a: b" != \'c\''), {
  nil: null,
})
const resources = fc.array(optional({ type: identifier, id: fc.constantFrom('a*', 'b/**'), within: ref }, ['type']), {
  minLength: 1,
  maxLength: 2,
})
const actions = fc.array(identifier, { minLength: 1, maxLength: 2 })
const permissions = fc.array(optional({ actions, resources, condition, obligations }, ['actions', 'resources']), {
  maxLength: 2,
})

const unique = <T extends { name: string }>(item: fc.Arbitrary<T>) =>
  fc.uniqueArray(item, { selector: (one) => one.name, maxLength: 5 })

const policy = optional(
  {
    name: fc.constantFrom(...NAMES, 'default', 'roles'),
    combining: fc.constantFrom('deny_overrides', 'allow_overrides', 'first_applicable'),
    required: fc.boolean(),
    target: optional({ resource_types: fc.array(identifier, { minLength: 1, maxLength: 2 }), actions }, []),
    description,
  },
  ['name'],
)
const type = optional(
  {
    name: identifier,
    actions: fc.uniqueArray(identifier, { maxLength: 3 }),
    on_invalid: fc.constantFrom('reject', 'warn'),
    protected_properties: fc.uniqueArray(identifier, { maxLength: 2 }),
    stored: fc.constantFrom('maybe'),
    description,
  },
  ['name'],
)

/** A role builds on names that come before its own, so there is no cycle; an entity's parents are groups alike. */
const roles = fc.uniqueArray(
  optional({ name, description, permissions, before: fc.integer({ min: 0, max: 4 }) }, ['name', 'before']),
  { selector: (one) => one.name, maxLength: 5 },
)
const entities = fc.uniqueArray(
  optional({ type: ref, properties, disabled: fc.boolean(), up: fc.boolean() }, ['type', 'up']),
  {
    selector: (one) => JSON.stringify(one.type),
    maxLength: 8,
  },
)
const rule = (policies: string[], roleNames: string[]) =>
  optional(
    {
      name: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
      policy: fc.constantFrom('default', ...policies.filter((known) => known !== 'roles')),
      effect: fc.constantFrom('allow', 'deny'),
      subjects: fc.array(
        fc.oneof(
          ref,
          fc.constant({ any: true }),
          ...(roleNames.length > 0 ? [fc.constantFrom(...roleNames).map((role) => ({ role }))] : []),
        ),
        { minLength: 1, maxLength: 3 },
      ),
      actions,
      resources,
      condition,
      obligations,
      priority: fc.integer({ min: -5, max: 5 }),
      valid_from: instant(2020),
      valid_until: instant(2030),
      enabled: fc.boolean(),
      description,
    },
    ['name', 'effect', 'subjects', 'actions', 'resources'],
  )

export const bundles = fc
  .tuple(unique(type), unique(policy), roles, entities, fc.option(fc.record({ rules_in_answers: fc.boolean() })))
  .chain(([types, policies, roleDrafts, entityDrafts, settings]) => {
    const declared = roleDrafts.map((role) => role.name)
    const madeRoles = roleDrafts.map(({ before, ...role }, place) => ({
      ...role,
      inherits: declared.slice(Math.max(0, place - before), place).slice(0, 2),
      ...(place > 2 && { derived: { from: declared.slice(0, 1), condition: 'resource.id == subject.id' } }),
    }))
    const refs = entityDrafts.map((entity) => entity.type)
    const madeEntities = entityDrafts.map(({ type: { type, id }, up, ...entity }, place) => ({
      type,
      id,
      ...entity,
      ...(up && { parents: [...refs.slice(0, place).slice(-2), { type: 'folder', id: 'elsewhere' }] }),
    }))
    const given = fc.uniqueArray(
      optional(
        {
          subject: ref,
          role: fc.constantFrom(...(declared.length > 0 ? declared : ['none'])),
          within: ref,
          valid_from: instant(2020),
          valid_until: instant(2030),
          reason: fc.option(nasty, { nil: null }),
        },
        ['subject', 'role'],
      ),
      {
        selector: ({ subject, role, within = null, valid_from = null, valid_until = null }) =>
          JSON.stringify([subject.type, subject.id, role, within?.type, within?.id, valid_from, valid_until]),
        maxLength: declared.length > 0 ? 6 : 0,
      },
    )
    return fc
      .tuple(
        fc.uniqueArray(
          rule(
            policies.map((one) => one.name),
            declared,
          ),
          { selector: (one) => one.name, maxLength: 4 },
        ),
        given,
      )
      .map(([rules, assignments]) => ({
        verdict: 1,
        ...(settings !== null && { settings }),
        types,
        policies,
        roles: madeRoles,
        rules,
        entities: madeEntities,
        assignments,
      }))
  })

/** Some of the sections of a bundle. */
export const partialBundles = fc
  .tuple(bundles, fc.subarray(['settings', 'types', 'policies', 'roles', 'rules', 'entities', 'assignments']))
  .map(([bundle, left]) => Object.fromEntries(Object.entries(bundle).filter(([member]) => !left.includes(member))))
