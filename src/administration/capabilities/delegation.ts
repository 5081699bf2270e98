import { Failure, type Problem } from '../../failure.ts'
import type { Capability, Constraints } from '../../policy/capability.ts'
import type { EntityRef, ResourceSelector } from '../../policy/model.ts'
import { coversAction, coversResource } from '../../policy/narrower.ts'
import { readsSubject } from '../../policy/property-reads.ts'
import { isReadable } from '../../policy/soundness.ts'
import { getCapability, type StoredCapability } from '../../store/capabilities.ts'
import type { Change } from '../change.ts'
import { refuse } from '../refusal.ts'

/**
 * The capability that another is to be granted out of. `holder`: who has to hold it itself, without being in any group;
 * undefined: who grants it may grant anything, and need not name one.
 */
export async function parentOf(
  change: Change,
  { from }: Capability,
  holder: EntityRef | undefined,
): Promise<StoredCapability | undefined> {
  if (from === undefined || from === null) {
    if (holder === undefined) return undefined
    throw notHeld('who may not grant everything names the capability that it grants out of')
  }
  const { trx, tenant, at } = change
  const found = await getCapability(trx, tenant, from, at)
  const isHeld = found !== undefined && (holder === undefined || isSame(found.subject, holder))
  // To a caller who may not read it, what belongs to somebody else looks the same as what does not exist.
  if (!isHeld) throw missing(holder, from)
  if (found.revoked_at !== null || !(Date.parse(found.document.expires_at) > at.getTime())) {
    throw holder === undefined ? gone(from) : notHeld(`the capability ${from} has ended`)
  }
  if (!isReadable('capability', found.document)) throw notHeld(`the capability ${from} cannot be read`)
  if (!found.document.delegable) throw notHeld(`the capability ${from} is not delegable`)
  return found
}

function missing(holder: EntityRef | undefined, from: string): Failure {
  const detail = `there is no capability ${from}`
  return holder === undefined ? unprocessable(detail) : notHeld(`the caller itself holds no capability ${from}`)
}

function gone(from: string): Failure {
  return unprocessable(`the capability ${from} has ended`)
}

function unprocessable(detail: string): Failure {
  return new Failure('unprocessable', detail, { problems: [{ pointer: '/from', detail }] })
}

function notHeld(detail: string): Failure {
  return new Failure('forbidden', detail, { problems: [{ pointer: '/from', detail }] })
}

/** As many times one can be granted out of another. */
const DEPTH_AT_MOST = 8

/** In what a capability goes beyond the one that it is to be granted out of. Pointers go into it. */
export function beyondParent({ document: parent, depth }: StoredCapability, asked: Capability): Problem[] {
  if (depth + 1 > DEPTH_AT_MOST) {
    refuse([{ pointer: '/from', detail: `capabilities are granted out of one another ${DEPTH_AT_MOST} times at most` }])
  }
  return [
    ...(readsSubject(parent.condition ?? '')
      ? [{ pointer: '/from', detail: 'its condition is about its subject' }]
      : []),
    ...beyondScope(parent, asked),
    ...beyondLimits(parent.constraints, asked.constraints ?? {}),
    ...(Date.parse(asked.expires_at) > Date.parse(parent.expires_at)
      ? [{ pointer: '/expires_at', detail: `is later than ${parent.expires_at}` }]
      : []),
  ]
}

type Scope = Pick<Capability, 'actions' | 'resources'>

/** What of a narrower scope is not certain to lie in a wider one. */
export function beyondScope(wide: Scope, narrow: Scope): Problem[] {
  const effort = new Effort()
  const named = new Set(wide.actions)
  const patterns = wide.actions.filter((action) => action.includes('*'))
  const isCovered = (action: string) =>
    named.has(action) || patterns.some((each) => effort.spend(each, action) && coversAction(each, action))
  const isWithin = (resource: ResourceSelector) =>
    wide.resources.some((each) => effort.spend(each.id ?? '', resource.id ?? '') && coversResource(each, resource))
  const actions = narrow.actions.flatMap((action, place) =>
    isCovered(action) ? [] : [{ pointer: `/actions/${place}`, detail: `${action} is not covered` }],
  )
  const resources = narrow.resources.flatMap((resource, place) =>
    isWithin(resource) ? [] : [{ pointer: `/resources/${place}`, detail: 'is not covered' }],
  )
  return [...actions, ...resources]
}

// To compare two patterns takes up to the product of their lengths, some 30 ns each, with everybody else waiting.
const STEPS_AT_MOST = 2_000_000

/** What comparing patterns may take. */
class Effort {
  #left = STEPS_AT_MOST

  /** Always true; throws where there is none left. */
  spend(one: string, other: string): true {
    this.#left -= (one.length + 1) * (other.length + 1)
    if (this.#left >= 0) return true
    const detail = 'there are too many patterns to compare, or they are too long: grant it in parts'
    throw new Failure('unprocessable', detail, { problems: [{ pointer: '/resources', detail }] })
  }
}

/** The limits that are missing, or higher. */
export function beyondLimits(wide: Constraints, narrow: Constraints): Problem[] {
  return Object.entries(wide).flatMap(([name, limit]) => {
    const own = Object.hasOwn(narrow, name) ? narrow[name] : undefined
    if (own !== undefined && own <= limit) return []
    return [{ pointer: `/constraints/${name}`, detail: `has to be there, and ${limit} at most` }]
  })
}

function isSame(one: EntityRef, other: EntityRef): boolean {
  return one.type === other.type && one.id === other.id
}
