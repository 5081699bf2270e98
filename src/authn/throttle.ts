import { createHmac, hkdfSync } from 'node:crypto'
import { isIPv6 } from 'node:net'

/** How many failures lock what they were counted under, and for how long; each further lock is twice as long. */
export const LIMITS = { failures: 5, lock_s: 300, longest_lock_s: 3_600 } as const

/** An account or an address that nobody has failed at for so long begins anew. */
export const FORGOTTEN_S = { account: 86_400, address: 3_600 } as const

/** A login from an address makes it known to the account for so long. */
export const KNOWN_S = 30 * 86_400

/** Under what the attempts at an account from an address are counted. Each is 32 bytes that tell nothing. */
export interface AttemptKeys {
  readonly address: Buffer
  /** Attempts from an address that is locked: they are counted nowhere else, so that it can't lock accounts. */
  readonly blocked: Buffer
  /** From all addresses that the account does not know. */
  readonly account: Buffer
  /** From one that it knows. */
  readonly pair: Buffer
  /** The same two for second factors that came with the right password. */
  readonly account_otp: Buffer
  readonly pair_otp: Buffer
  /** What a record calls the account, whether there is one or not. */
  readonly name: string
}

/** The names under which failures are kept: an account that does not exist has one like any other. */
export class ThrottleKeys {
  readonly #key: Buffer

  constructor(masterKey: Buffer) {
    this.#key = Buffer.from(hkdfSync('sha256', masterKey, '', 'verdict login throttle', 32))
  }

  ofAttempt(tenant: string, usernameKey: string, address: string): AttemptKeys {
    const from = network(address)
    const account = this.#of('account', tenant, usernameKey)
    return {
      address: this.#of('address', from),
      blocked: this.#of('blocked', from),
      account,
      pair: this.#of('pair', tenant, usernameKey, from),
      account_otp: this.#of('account otp', tenant, usernameKey),
      pair_otp: this.#of('pair otp', tenant, usernameKey, from),
      name: account.toString('hex', 0, 8),
    }
  }

  /** Of somebody who is logged in and proves it once more. */
  ofProof(tenant: string, { type, id }: { readonly type: string; readonly id: string }): Buffer {
    return this.#of('proof', tenant, type, id)
  }

  // With the length of each part, no two lists of parts come to the same bytes.
  #of(...parts: string[]): Buffer {
    const hmac = createHmac('sha256', this.#key)
    for (const part of parts) hmac.update(`${Buffer.byteLength(part)} ${part}`)
    return hmac.digest()
  }
}

/** Whoever has one address of IPv6 has the 2^64 beside it. */
function network(address: string): string {
  const v4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (v4 !== undefined || !isIPv6(address)) return v4 ?? address
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? 0 : tail.split(':').length
  while (tail !== undefined && groups.length + after < 8) groups.push('0')
  const all = tail === undefined || tail === '' ? groups : [...groups, ...tail.split(':')]
  const first = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${first.join(':')}::/64`
}
