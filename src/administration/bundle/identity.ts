import type { Assignment } from '../../policy/model.ts'
import { shownRef } from '../refusal.ts'
import type { Documents, Section } from './document.ts'

/** By what a thing is known in its section; two with the same text are the same thing. */
export const identityOf: { readonly [S in Section]: (document: Documents[S]) => string } = {
  types: ({ name }) => name,
  policies: ({ name }) => name,
  roles: ({ name }) => name,
  rules: ({ name }) => name,
  entities: refIdentity,
  // Who holds which role where and when; why is the only thing about it that can change.
  assignments: ({ subject, role, within, valid_from, valid_until }) =>
    JSON.stringify([
      subject.type,
      subject.id,
      role,
      within?.type ?? null,
      within?.id ?? null,
      instant(valid_from),
      instant(valid_until),
    ]),
}

export function refIdentity({ type, id }: { readonly type: string; readonly id: string }): string {
  return JSON.stringify([type, id])
}

/** How a reader knows a thing. */
export const shownName: { readonly [S in Section]: (document: Documents[S]) => string } = {
  types: ({ name }) => name,
  policies: ({ name }) => name,
  roles: ({ name }) => name,
  rules: ({ name }) => name,
  entities: shownRef,
  assignments: shownAssignment,
}

function shownAssignment({ subject, role, within, valid_from, valid_until }: Assignment): string {
  const parts = [`${shownRef(subject)}: ${role}`]
  if (within !== undefined) parts.push(`within ${shownRef(within)}`)
  if (typeof valid_from === 'string') parts.push(`from ${valid_from}`)
  if (typeof valid_until === 'string') parts.push(`until ${valid_until}`)
  return parts.join(' ')
}

// What is no instant is told elsewhere; it is still the same or not.
function instant(text: string | null | undefined): number | string | null {
  if (text === null || text === undefined) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? text : at
}
