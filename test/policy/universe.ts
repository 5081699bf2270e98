import type { EntityRef, Properties } from '../../src/policy/model.ts'
import type { Dice } from './dice.ts'

/** What random policies and random questions have in common: so little that everything collides. */
export const SUBJECT_TYPES = ['user', 'group'] as const
export const RESOURCE_TYPES = ['doc', 'folder', '*'] as const
export const NAMES = ['a', 'b', 'c'] as const
export const RESOURCE_IDS = ['a', 'b', 'a/b', 'a/b/c', 'ab', 'aab/b', 'a*', 'b/a/b'] as const
export const ACTIONS = ['read', 'edit', 'edit:all', 'x'] as const
export const NOW = Date.parse('2030-01-01T00:00:00Z')
export const INSTANTS = [
  '2029-12-31T23:59:59.999Z',
  '2030-01-01T00:00:00Z',
  '2030-01-01T00:00:00.001Z',
  '2030-01-01T01:00:00+01:00',
] as const

export function subject(dice: Dice): EntityRef {
  return { type: dice.one(SUBJECT_TYPES), id: dice.one(NAMES) }
}

export function resource(dice: Dice): EntityRef {
  return { type: dice.one(RESOURCE_TYPES), id: dice.one(RESOURCE_IDS) }
}

export function properties(dice: Dice): Properties {
  return present<Properties>({
    owner: dice.maybe(2, () => dice.one(NAMES)),
    level: dice.maybe(2, () => dice.one([1, 2, 'x', 'admin', 'read_only'])),
    flag: dice.maybe(2, () => dice.one([true, false])),
    n: dice.maybe(2, () => dice.one([0, 1, 2, 3])),
  })
}

/** Leaves out what is undefined, as documents do. */
export function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}
