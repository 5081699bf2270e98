import type { Problem } from '../failure.ts'
import type { AccessRequest, OperationMapping, OperationSettings, ResourceSelector } from './model.ts'
import { type Normalization, normalTarget, patternFault } from './normal-form.ts'
import type { Declared } from './undeclared.ts'

/** A permission that an operation declares it needs. */
export interface DeclaredPermission {
  readonly kind: string
  readonly target: string
  readonly properties?: AccessRequest['resource']['properties']
}

/** What it asks; or how much of that can be told. */
export type Mapped =
  | { readonly action: AccessRequest['action']; readonly resource: AccessRequest['resource'] }
  | { readonly action: AccessRequest['action']; readonly resource?: undefined; readonly fault: string }

/** Undefined: the tenant maps no such kind. */
export function mappedPermission(
  operations: OperationSettings,
  { kind, target, properties }: DeclaredPermission,
): Mapped | undefined {
  const mapping = Object.hasOwn(operations, kind) ? operations[kind] : undefined
  if (mapping === undefined) return undefined
  const action = actionOf(kind, mapping)
  const normal = normalTarget(mapping.normalize ?? 'none', target)
  if (normal.fault !== undefined) return { action, fault: normal.fault }
  const { resource_type: type } = mapping
  return { action, resource: { type, id: normal.text, ...(properties !== undefined && { properties }) } }
}

const actions = new WeakMap<OperationMapping, AccessRequest['action']>()

/** Made once for each mapping. The target is in no attribute: it is the resource's id, and hidden where that is. */
function actionOf(kind: string, mapping: OperationMapping): AccessRequest['action'] {
  const known = actions.get(mapping)
  if (known !== undefined) return known
  const spaces: Record<string, Record<string, unknown>> = {}
  for (const [name, value] of Object.entries(mapping.attributes ?? {})) {
    const [space = '', attribute = ''] = name.split('.')
    spaces[space] = { ...spaces[space], [attribute]: value }
  }
  const action = { name: mapping.action, properties: { operation: kind, ...spaces } }
  actions.set(mapping, action)
  return action
}

/** What is wrong with a mapping by itself, with pointers into the settings. */
export function checkOperations(operations: OperationSettings): Problem[] {
  const forms = new Map<string, { readonly kind: string; readonly form: Normalization }>()
  return Object.entries(operations).flatMap(([kind, { action, resource_type: type, normalize: form = 'none' }]) => {
    const first = forms.get(type) ?? { kind, form }
    forms.set(type, first)
    const detail = `the targets of ${first.kind} are of the type ${type} too, and normalised otherwise`
    return [
      ...literal(`/operations/${kind}/action`, action),
      ...literal(`/operations/${kind}/resource_type`, type),
      ...(first.form === form ? [] : [{ pointer: `/operations/${kind}/normalize`, detail }]),
    ]
  })
}

function literal(pointer: string, name: string): Problem[] {
  if (name.startsWith('pdp:')) return [{ pointer, detail: 'names that begin with "pdp:" are built in' }]
  return name.includes('*') ? [{ pointer, detail: 'is one name, not a pattern' }] : []
}

/** A mapping whose action its type does not declare, where that says which it has. */
export interface Unknown {
  readonly kind: string
  readonly type: string
  readonly detail: string
}

export function undeclaredInOperations(operations: OperationSettings, declared: Declared): Unknown[] {
  return Object.entries(operations).flatMap(([kind, { action, resource_type: type }]) => {
    const known = declared.get(type)?.actions
    if (known === undefined || known.includes(action)) return []
    return [{ kind, type, detail: `the type ${type} declares no action ${JSON.stringify(action)}` }]
  })
}

/** The types whose targets are normalised, and how. */
export function normalTypes(operations: OperationSettings): ReadonlyMap<string, Normalization> {
  const types = new Map<string, Normalization>()
  for (const { resource_type: type, normalize = 'none' } of Object.values(operations)) {
    if (normalize !== 'none') types.set(type, normalize)
  }
  return types
}

/** Patterns of ids that could match no target of their type, since all of them are normalised. */
export function abnormalPatterns(
  types: ReadonlyMap<string, Normalization>,
  resources: readonly ResourceSelector[],
): Problem[] {
  return resources.flatMap(({ type, id }, place) => {
    const form = types.get(type)
    const fault = form === undefined || id === undefined ? undefined : patternFault(form, id)
    if (fault === undefined) return []
    const detail = `matches no ${type}, since their ids are normalised (the setting operations): it ${fault}`
    return [{ pointer: `/resources/${place}/id`, detail }]
  })
}
