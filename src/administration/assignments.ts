import { v7 as uuidv7 } from 'uuid'
import type { Problem } from '../failure.ts'
import { isBuiltIn, isBuiltInRole } from '../policy/built-in.ts'
import type { GivenAssignment } from '../policy/change.ts'
import type { Assignment } from '../policy/model.ts'
import { checkAssignment } from '../policy/parse.ts'
import {
  type AssignmentFilter,
  deleteAssignments,
  getAssignment,
  insertAssignments,
  listAssignments,
  sameAssignment,
} from '../store/assignments.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { declaredTypes } from '../store/types.ts'
import { beyondActing, isActing } from './authority.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { normalAssignment } from './normal.ts'
import { checkPrecondition } from './precondition.ts'
import { neverStored, unknownRoles } from './references.ts'
import { notFound, refuse } from './refusal.ts'
import { type ShownAssignment, shownAssignment } from './representation.ts'
import type { Answer, Parts, Read, Write } from './write.ts'

export interface AssignmentAdministration {
  list(read: Read, filter: AssignmentFilter, page: Page): Promise<Listed<ShownAssignment>>
  /** One that gives exactly what another gives already changes nothing: 200 and the one that is there. */
  create(write: Write, assignment: Assignment): Promise<Answer<ShownAssignment>>
  delete(write: Write, id: string): Promise<Answer<null>>
}

export function assignmentAdministration({ db }: Parts, change: Changer): AssignmentAdministration {
  return {
    async list({ tenant, acting }, filter, page) {
      const { items, next_cursor } = await listAssignments(
        db.of(tenant),
        tenant,
        { ...filter, built_in: acting === true },
        page,
      )
      return { items: items.map(shownAssignment), next_cursor }
    },
    create: (write, assignment) => change(write, (at) => create(at, assignment)),
    delete: (write, id) => change(write, (at) => remove(at, id)),
  }
}

async function create(change: Change, assignment: Assignment): Promise<Outcome<ShownAssignment>> {
  const { trx, tenant, at } = change
  checkPrecondition(change.write.if_match, undefined)
  if (isActing(change.write) && !isBuiltIn(assignment.role)) throw beyondActing()
  refuse(await problemsOf(change, assignment))
  const after = given(change, assignment)
  const present = await sameAssignment(trx, tenant, after)
  if (present !== undefined) {
    return { status: 200, body: shownAssignment(present), version: null, id: present.document.id }
  }
  await insertAssignments(trx, change, [after])
  change.log({ kind: 'assignment', key: { id: after.id }, operation: 'create', before: null, after })
  return { status: 201, body: shownAssignment({ document: after, created_at: at }), version: null, id: after.id }
}

async function remove(change: Change, id: string): Promise<Outcome<null>> {
  const found = await getAssignment(change.trx, change.tenant, id)
  if (found === undefined) throw notFound(`assignment ${id}`)
  checkPrecondition(change.write.if_match, null)
  await deleteAssignments(change.trx, change.tenant, [id])
  change.log({ kind: 'assignment', key: { id }, operation: 'delete', before: found.document, after: null })
  return { status: 204, body: null, version: null, id }
}

/** An assignment as it is kept: with its id, who gave it, and its instants in UTC. */
export function given({ write, at }: Pick<Change, 'write' | 'at'>, assignment: Assignment): GivenAssignment {
  const { type, id } = write.caller.subject
  return { id: uuidv7({ msecs: at.getTime() }), ...normalAssignment(assignment), granted_by: { type, id } }
}

async function problemsOf({ trx, tenant }: Change, assignment: Assignment): Promise<Problem[]> {
  const { subject, role } = assignment
  return [
    ...checkAssignment(assignment),
    ...builtInRoleProblems(tenant, role),
    ...(await unknownRoles(trx, tenant, [{ pointer: '/role', name: role }])),
    ...neverStored(await declaredTypes(trx, tenant, [subject.type]), '/subject/type', subject.type),
  ]
}

function builtInRoleProblems(tenant: string, role: string): Problem[] {
  const detail = isBuiltIn(role) ? problemOfBuiltInRole(tenant, role) : undefined
  return detail === undefined ? [] : [{ pointer: '/role', detail }]
}

/** Why nobody in the tenant can hold a built-in role. */
export function problemOfBuiltInRole(tenant: string, role: string): string | undefined {
  if (!isBuiltInRole(role)) return `${role} is not a built-in role`
  return role === 'pdp:operator' && tenant !== 'system' ? 'pdp:operator exists in the tenant system alone' : undefined
}
