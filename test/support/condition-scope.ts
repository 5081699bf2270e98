import { Budget } from '../../src/policy/budget.ts'
import { compileCondition, isFault } from '../../src/policy/condition.ts'
import { DEFAULT_SETTINGS, type Properties } from '../../src/policy/model.ts'
import { ActionView, ResourceView, type Scope, SubjectView } from '../../src/policy/scope.ts'

interface Seen {
  readonly context?: Properties
  readonly subject?: Properties
  readonly resource?: Properties
  readonly now?: string
  readonly levels?: readonly string[]
}

/** What a condition sees: alice, an editor, and a document; Wednesday, 2030-01-02. */
export function scopeOf({ context = {}, subject = {}, resource = {}, now, levels }: Seen = {}): Scope {
  const source = {
    subjectType: 'user',
    subjectId: 'alice',
    subjectKnown: true,
    subjectProperties: () => subject,
    subjectRoles: () => ['editor', 'viewer'],
    resourceType: 'document',
    resourceId: 'reports/q3',
    resourceKnown: false,
    resourceProperties: () => resource,
  }
  return {
    subject: new SubjectView(source),
    action: new ActionView('document:edit', {}),
    resource: new ResourceView(source),
    context,
    now: new Date(now ?? '2030-01-02T03:04:05.678Z'),
    levels: levels ?? DEFAULT_SETTINGS.levels,
  }
}

/** undefined: an error. Throws what is wrong with a condition that cannot be compiled. */
export function holds(text: string, seen?: Seen, budget = new Budget()): boolean | undefined {
  const compiled = compileCondition(text)
  if (isFault(compiled)) throw new Error(`${text}: ${compiled.detail}`)
  return compiled.holds(scopeOf(seen), budget)
}
