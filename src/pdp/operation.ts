import type { DecisionAnswer, DecisionRequest } from '../contract/authorize.ts'
import type { OperationAnswer, OperationRequest, PermissionAnswer } from '../contract/authorize-operation.ts'
import type { ItemInError } from '../contract/batch.ts'
import { Failure } from '../failure.ts'
import type { Asking, Pdp } from '../pdp.ts'
import { DEFAULT_SETTINGS, type Settings } from '../policy/model.ts'
import { withoutRepeats } from '../policy/obligations.ts'
import { type Mapped, mappedPermission } from '../policy/operation.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import { type Item, SettingsChanged } from './batch.ts'

/** Decides all the permissions that an operation declares it needs, by the tenant's mapping. */
export type AuthorizeOperation = (asking: Asking, asked: OperationRequest) => Promise<OperationAnswer>

interface OperationParts {
  readonly pdp: Pick<Pdp, 'evaluateAll'>
  readonly snapshots: Pick<Snapshots, 'tenant'>
}

/** How often the mapping may change while an operation is decided by it. */
const TRIES = 3

export function createOperation({ pdp, snapshots }: OperationParts): AuthorizeOperation {
  async function decided(asking: Asking, asked: OperationRequest, triesLeft: number): Promise<OperationAnswer> {
    const tenant = await snapshots.tenant(asking.tenant)
    const settings = tenant?.index.settings ?? DEFAULT_SETTINGS
    const mapped = asked.permissions.map((permission) => mappedPermission(settings.operations, permission))
    try {
      return await decide(asking, asked, mapped, settings)
    } catch (error) {
      // Nothing was recorded: the items are mapped and decided anew, so that mapping and rules are of one revision.
      if (error instanceof SettingsChanged && triesLeft > 1) return decided(asking, asked, triesLeft - 1)
      throw error
    }
  }

  async function decide(
    asking: Asking,
    asked: OperationRequest,
    mapped: readonly (Mapped | undefined)[],
    settings: Required<Settings>,
  ): Promise<OperationAnswer> {
    const items = mapped.map((one, place) => itemOf(asked, one, place))
    const { options } = asked
    const { decision, answers } = await pdp.evaluateAll(asking, {
      items,
      semantic: 'execute_all',
      options,
      settings,
    })
    return answerOf(asked, mapped, decision, answers.all())
  }

  return (asking, asked) => decided(asking, asked, TRIES)
}

/** Of a type of Verdict's own, so that nothing of a tenant's policy is about it. */
const NOTHING = { type: 'pdp:operation', id: '*' }

function itemOf({ subject, context, permissions }: OperationRequest, mapped: Mapped | undefined, place: number): Item {
  const action = mapped?.action ?? { name: permissions[place]?.kind ?? '' }
  const { resource = NOTHING } = mapped ?? {}
  const asked = context === undefined ? { subject, action, resource } : { subject, action, resource, context }
  const request = asked as DecisionRequest
  if (mapped === undefined) return { request, unasked: 'unmapped_operation' }
  if (mapped.resource === undefined) return { request, unasked: [{ pointer: '/target', detail: mapped.fault }] }
  return { request }
}

function answerOf(
  { permissions }: OperationRequest,
  mapped: readonly (Mapped | undefined)[],
  decision: boolean,
  evaluations: readonly (DecisionAnswer | ItemInError)[],
): OperationAnswer {
  const decisive = evaluations.find((each) => each.decision === decision)
  if (decisive === undefined || evaluations.length !== permissions.length) {
    throw new Failure('internal', 'not every permission of an operation was decided')
  }
  const { decision_id, reason } = decisive.context
  const same = evaluations.filter((each) => each.decision === decision)
  const obligations = withoutRepeats(same.flatMap(({ context }) => context.obligations))
  return {
    decision,
    context: { decision_id, reason, obligations },
    permissions: evaluations.map((answer, place) => permissionOf(permissions[place], mapped[place], answer)),
  }
}

function permissionOf(
  asked: OperationRequest['permissions'][number] | undefined,
  mapped: Mapped | undefined,
  { decision, context }: DecisionAnswer | ItemInError,
): PermissionAnswer {
  const { kind = '', target = '' } = asked ?? {}
  if (mapped?.resource === undefined) return { kind, target, decision, context }
  const { type, id } = mapped.resource
  return { kind, target, resource: { type, id }, decision, context }
}
