import { type Hash, mask, readMasking } from '../masking.ts'
import type { Obligation } from '../policy/model.ts'
import { VerdictError } from './error.ts'

/**
 * The record with every obligation of type `mask` applied, one after the other: each only ever takes away. Those of other
 * types are the handler's. `hash` is keyed (HMAC-SHA-256, say); without it, what should be hashed is removed. A
 * VerdictError (`unknown_obligation`): a mask cannot be read, so nothing may be shown.
 */
export function applyObligations(
  record: unknown,
  obligations: readonly Obligation[],
  options: { readonly hash?: Hash } = {},
): unknown {
  return obligations
    .filter(({ type }) => type === 'mask')
    .reduce((shown, obligation) => applied(shown, obligation, options), record)
}

function applied(record: unknown, { id, properties }: Obligation, options: { readonly hash?: Hash }): unknown {
  try {
    return mask(record, readMasking(properties), options).record
  } catch (cause) {
    throw new VerdictError('unknown_obligation', `the mask ${id} cannot be read`, { cause })
  }
}
