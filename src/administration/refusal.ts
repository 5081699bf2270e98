import { Failure, type Problem } from '../failure.ts'

/** How many users of a thing a refusal names. */
export const NAMED = 5

export function refuse(problems: readonly Problem[]): void {
  const [first] = problems
  if (first === undefined) return
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  throw new Failure('unprocessable', `${first.detail}${more}`, { problems })
}

export function notFound(what: string): Failure {
  return new Failure('not_found', `there is no ${what}`)
}

/** Refuses to delete what is in use. Each user is named as a reader knows it: "rule x", "role y". */
export function refuseUsed(what: string, users: readonly string[]): void {
  if (users.length === 0) return
  const rest = users.length > NAMED ? ' and others' : ''
  const named = users.slice(0, NAMED).join(', ')
  throw new Failure('conflict', `${what} cannot be deleted while it is in use: by ${named}${rest}`)
}

export function shownRef({ type, id }: { readonly type: string; readonly id: string }): string {
  return `${type}/${id}`
}
