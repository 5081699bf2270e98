import type { GivenAssignment, PolicyChange } from './change.ts'
import { type EntityNode, type Facts, gatherFacts, type Lookup, unknownEntity } from './entity-graph.ts'
import type { AccessRequest, Assignment, Bundle, EntityRef } from './model.ts'
import { PolicyIndex } from './policy-index.ts'

/** A bundle alone, compiled: enough to decide without a database. */
export interface LoadedBundle {
  readonly index: PolicyIndex
  readonly lookup: Lookup
}

export function loadBundle(bundle: Bundle, index = new PolicyIndex()): LoadedBundle {
  for (const change of changesOf(bundle)) index.apply(change)
  const nodes = nodesOf(bundle)
  return { index, lookup: (type, id) => nodes.get(type)?.get(id) ?? unknownEntity(type, id) }
}

/** The facts of a request, of which nothing can be missing: a bundle is held whole. */
export function factsFor(lookup: Lookup, request: AccessRequest): Facts {
  const missing: EntityRef[] = []
  return {
    subject: gatherFacts(lookup, request.subject, missing),
    resource: gatherFacts(lookup, request.resource, missing),
  }
}

function* changesOf(bundle: Bundle): Generator<PolicyChange> {
  const create = { operation: 'create', before: null } as const
  if (bundle.settings !== undefined) yield { kind: 'settings', key: null, ...create, after: bundle.settings }
  for (const after of bundle.types ?? []) yield { kind: 'type', key: { name: after.name }, ...create, after }
  for (const after of bundle.policies ?? []) yield { kind: 'policy', key: { name: after.name }, ...create, after }
  for (const after of bundle.roles ?? []) yield { kind: 'role', key: { name: after.name }, ...create, after }
  for (const after of bundle.rules ?? []) yield { kind: 'rule', key: { name: after.name }, ...create, after }
}

type Nodes = Map<string, Map<string, EntityNode>>

function nodesOf(bundle: Bundle): Nodes {
  const nodes: Nodes = new Map()
  for (const entity of bundle.entities ?? []) {
    const { type, id, properties = {}, parents = [], disabled = false } = entity
    put(nodes, { type, id, known: true, properties, parents, disabled, assignments: [] })
  }
  bundle.assignments?.forEach((assignment, place) => {
    const { type, id } = assignment.subject
    const node = nodes.get(type)?.get(id) ?? unknownEntity(type, id)
    put(nodes, { ...node, assignments: [...node.assignments, given(assignment, place)] })
  })
  return nodes
}

function put(nodes: Nodes, node: EntityNode): void {
  const ofType = nodes.get(node.type)
  if (ofType === undefined) nodes.set(node.type, new Map([[node.id, node]]))
  else ofType.set(node.id, node)
}

function given(assignment: Assignment, place: number): GivenAssignment {
  return { ...assignment, id: `bundle-${place}`, granted_by: { type: 'bundle', id: 'bundle' } }
}
