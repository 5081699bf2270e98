import { Failure } from '../../failure.ts'
import type { BatchBody } from './reader.ts'

/** What a caller goes on with where nothing of its list is allowed. */
export interface Routing {
  readonly fallback: unknown
}

/** In characters of JSON. */
const MAX_FALLBACK = 16 * 1024

/** Undefined: nothing is to be selected. Fails with `invalid_request`. */
export function routingOf({ evaluations = [], options = {} }: BatchBody): Routing | undefined {
  if (!Object.hasOwn(options, 'fallback')) return undefined
  const { fallback, evaluations_semantic: semantic } = options
  if (semantic !== undefined && semantic !== 'permit_on_first_permit') {
    throw refused('/options/evaluations_semantic', 'is permit_on_first_permit where there is a fallback')
  }
  if (evaluations.length === 0) throw refused('/evaluations', 'holds something to select where there is a fallback')
  if (JSON.stringify(fallback).length > MAX_FALLBACK) {
    throw refused('/options/fallback', `takes more than ${MAX_FALLBACK} characters`)
  }
  return { fallback }
}

/** The same batch, which ends at what is selected. */
export function routed(body: BatchBody): BatchBody {
  return { ...body, options: { ...body.options, evaluations_semantic: 'permit_on_first_permit' } }
}

/** The first that was allowed: an item that is denied or in error is none. */
export function selectedOf(evaluations: readonly { readonly decision: boolean }[], { fallback }: Routing) {
  const index = evaluations.findIndex(({ decision }) => decision === true)
  return index === -1 ? { fallback } : { index }
}

function refused(pointer: string, detail: string): Failure {
  return new Failure('invalid_request', `the options do not fit each other: ${pointer} ${detail}`, {
    problems: [{ pointer, detail }],
  })
}
