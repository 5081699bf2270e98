import type { Problem } from '../failure.ts'
import { Budget, STEPS_PER_REQUEST } from './budget.ts'
import type { EntityFacts, Facts } from './entity-graph.ts'
import { membersOf } from './json.ts'
import type { AccessRequest, Bundle, Entity, EntityType } from './model.ts'
import type { PolicyIndex } from './policy-index.ts'
import { effectiveProperties } from './properties.ts'
import { type Judgement, type PropertyCheck, propertyCheck } from './property-check.ts'

export type { Judgement } from './property-check.ts'

const CLEAN: Judgement = { problems: [], warnings: [] }

// Many at once may spend as much as fifty requests: about a second, with pauses between their parts.
const STEPS_FOR_MANY = 50 * STEPS_PER_REQUEST

/** Judges the properties of entities that are about to be stored, in turn. Pointers begin with `/properties`. */
export function judgeStored(types: ReadonlyMap<string, EntityType>): (entity: Entity) => Judgement {
  const budget = new Budget(STEPS_FOR_MANY)
  const checks = new Map([...types.values()].map((type) => [type.name, propertyCheck(type)]))
  return ({ type, properties = {} }) => {
    const check = checks.get(type)
    return check === undefined ? CLEAN : judgement(check, '/properties', check.problems(properties, budget))
  }
}

/** Judges the entities of a bundle by its own types. */
export function judgeEntities({ types = [], entities = [] }: Bundle): Judgement {
  const byName = new Map(types.map((type) => [type.name, type]))
  const judge = judgeStored(byName)
  const found = entities.map((entity, place) => at(`/entities/${place}`, judge(entity)))
  return { problems: found.flatMap(({ problems }) => problems), warnings: found.flatMap(({ warnings }) => warnings) }
}

/**
 * Judges the properties that a request brings, as the decision will see them: over the stored ones, or under them. For
 * a stored value the caller has nothing to answer, nor for a protected property. Without properties in the request
 * there is nothing to judge. Pointers go into the request.
 */
export function judgeRequest(
  index: PolicyIndex,
  facts: Facts,
  request: AccessRequest,
  budget = new Budget(),
): Judgement {
  if (index.propertyChecks.size === 0) return CLEAN
  const subject = judgePart(index, '/subject/properties', facts.subject, request.subject, budget)
  const resource = judgePart(index, '/resource/properties', facts.resource, request.resource, budget)
  if (subject === CLEAN) return resource
  if (resource === CLEAN) return subject
  return {
    problems: [...subject.problems, ...resource.problems],
    warnings: [...subject.warnings, ...resource.warnings],
  }
}

function judgePart(
  index: PolicyIndex,
  pointer: string,
  { properties: stored }: EntityFacts,
  { type, properties: requested }: AccessRequest['subject'],
  budget: Budget,
): Judgement {
  const check = index.propertyChecks.get(type)
  if (check === undefined || requested === undefined) return CLEAN
  const guarded = index.protectedProperties(type)
  const precedence = index.settings.attribute_precedence
  const found = check
    .problems(effectiveProperties(stored, requested, precedence, guarded), budget)
    .filter((problem) => {
      const member = memberOf(problem)
      if (member === undefined) return true
      if (guarded?.has(member) === true) return false
      return !Object.hasOwn(stored, member) || (precedence === 'request' && Object.hasOwn(requested, member))
    })
  return judgement(check, pointer, found)
}

function judgement(check: PropertyCheck, pointer: string, found: readonly Problem[]): Judgement {
  if (found.length === 0) return CLEAN
  const located = under(pointer, found)
  return check.rejects ? { problems: located, warnings: [] } : { problems: [], warnings: located }
}

/** The property that a problem is about; undefined where it is about all of them. */
function memberOf({ pointer }: Problem): string | undefined {
  return membersOf(pointer)[0]
}

export function at(pointer: string, { problems, warnings }: Judgement): Judgement {
  return { problems: under(pointer, problems), warnings: under(pointer, warnings) }
}

export function under(pointer: string, problems: readonly Problem[]): Problem[] {
  return problems.map((problem) => ({ pointer: pointer + problem.pointer, detail: problem.detail }))
}
