import { readMasking } from '../masking.ts'
import type { Obligation } from './model.ts'

/** The type of the obligation that Verdict itself knows to carry out, at `/v1/mask`. */
export const MASK = 'mask'

/** How many paths one mask may name: each is looked at for the members of every record. */
export const MAX_MASK_FIELDS = 200

/** Why a mask cannot be read; undefined: it can, or it is an obligation of another type. */
export function maskFault({ type, properties }: Obligation): string | undefined {
  if (type !== MASK) return undefined
  try {
    const { fields } = readMasking(properties)
    return Object.keys(fields).length <= MAX_MASK_FIELDS ? undefined : `names more than ${MAX_MASK_FIELDS} fields`
  } catch (error) {
    return error instanceof TypeError ? error.message : 'cannot be read'
  }
}
