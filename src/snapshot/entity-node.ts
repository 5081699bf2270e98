import type { GivenAssignment, PolicyChange } from '../policy/change.ts'
import { type EntityNode, NO_PROPERTIES, unknownEntity } from '../policy/entity-graph.ts'
import { succeeds } from '../policy/holdings.ts'
import type { EntityRef } from '../policy/model.ts'
import type { StoredEntity } from './source.ts'

/** A place that holds entities. `undefined`: it does not know. That an entity is absent is a node, with `known: false`. */
export interface Nodes {
  get(type: string, id: string): EntityNode | undefined
  set(node: EntityNode): void
}

/** An entity as the source has it. */
export function entityNode({ type, id, known, disabled, properties, parents, assignments }: StoredEntity): EntityNode {
  return {
    type,
    id,
    known,
    disabled: disabled ?? false,
    properties: properties === null ? NO_PROPERTIES : JSON.parse(properties),
    parents: parents === null ? [] : JSON.parse(parents),
    assignments: assignments === null ? [] : JSON.parse(assignments),
  }
}

/** Takes over what a write did. What is not held here is not taken in: half of an entity would be worse than none. */
export function follow(nodes: Nodes, change: PolicyChange): void {
  if (change.kind === 'entity') {
    const { key, after } = change
    replace(nodes, key, ({ assignments }) =>
      after === null
        ? // Its assignments go with it. The log says so too; what it might leave out must not live on.
          unknownEntity(key.type, key.id)
        : {
            type: key.type,
            id: key.id,
            known: true,
            properties: after.properties ?? {},
            disabled: after.disabled ?? false,
            parents: after.parents ?? [],
            assignments,
          },
    )
  } else if (change.kind === 'assignment') {
    const { key, before, after } = change
    for (const subject of [before?.subject, after?.subject]) {
      if (subject !== undefined) replace(nodes, subject, (node) => withAssignment(node, key.id, after))
    }
  }
}

function replace(nodes: Nodes, { type, id }: EntityRef, alter: (node: EntityNode) => EntityNode): void {
  const node = nodes.get(type, id)
  if (node !== undefined) nodes.set(alter(node))
}

/** The node with the assignment as it is after a write: there once, or not at all. */
function withAssignment(node: EntityNode, id: string, after: GivenAssignment | null): EntityNode {
  const others = node.assignments.filter((assignment) => assignment.id !== id)
  const holds = after !== null && after.subject.type === node.type && after.subject.id === node.id
  const assignments = holds ? [...others, after] : others
  succeeds(assignments, node.assignments)
  return { ...node, assignments }
}
