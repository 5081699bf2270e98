import { createHmac, hkdfSync } from 'node:crypto'
import type { DecisionAnswer, DecisionRequest } from '../contract/authorize.ts'
import type { MaskAnswer, MaskRequest } from '../contract/mask.ts'
import { Failure } from '../failure.ts'
import { type Hash, type MaskedRecord, type Masking, maskAll, readMasking } from '../masking.ts'
import type { Asking, Pdp } from '../pdp.ts'
import { MASK } from '../policy/mask-obligation.ts'
import type { Obligation, Properties } from '../policy/model.ts'

/** Decides, and shows of a record what the decision lets be seen. What the record holds is kept nowhere. */
export type MaskRecord = (asking: Asking, asked: MaskRequest) => Promise<MaskAnswer>

/** Gives each tenant a hash of its own. */
export type HashIn = (tenant: string) => Hash

/** About 30 ms. */
const MAX_STEPS = 300_000

export function createMask(pdp: Pick<Pdp, 'evaluate'>, hashIn: HashIn): MaskRecord {
  return async (asking, { subject, action, resource, context, options, record, others = 'remove' }) => {
    // Whatever goes on to be decided and recorded is named here, and the record is not.
    const question = { subject, action, resource, ...(context && { context }), ...(options && { options }) }
    const answer = await pdp.evaluate(asking, question as DecisionRequest)
    if (!answer.decision) return { decision: false, masked: [], context: answer.context }
    const { record: shown, masked } = maskedBy(answer, record, others, hashIn(asking.tenant))
    // A record is an object, and so is what is left of it.
    return {
      decision: true,
      record: shown as Properties,
      masked: masked.map(({ path }) => path),
      context: answer.context,
    }
  }
}

function maskedBy(answer: DecisionAnswer, record: Properties, others: 'keep' | 'remove', hash: Hash): MaskedRecord {
  const masks = answer.context.obligations.filter(({ type }) => type === MASK)
  try {
    return maskAll(record, masks.map(maskingOf), others, { hash, steps: MAX_STEPS })
  } catch (cause) {
    if (cause instanceof RangeError) throw new Failure('payload_too_large', cause.message, { cause })
    // Rules with such a mask are quarantined and never allow; whatever else could lead here shows nothing.
    throw new Failure('internal', 'a mask that the decision asks for cannot be read', { cause })
  }
}

const read = new WeakMap<Obligation, Masking>()

/** Obligations are those of the compiled rules: each is read once. */
function maskingOf(obligation: Obligation): Masking {
  const known = read.get(obligation)
  if (known !== undefined) return known
  const masking = readMasking(obligation.properties)
  read.set(obligation, masking)
  return masking
}

const KEY_BYTES = 32

/** By a key of the tenant's own, which is none of those that its records are redacted with. */
export function maskingHashes(masterKey: Buffer): HashIn {
  return (tenant) => {
    // Most masks hash nothing.
    let key: Buffer | undefined
    return (text) => {
      key ??= Buffer.from(hkdfSync('sha256', masterKey, '', `verdict 1 masking ${tenant}`, KEY_BYTES))
      return createHmac('sha256', key).update(text).digest('hex')
    }
  }
}
