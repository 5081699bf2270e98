import { isDeepStrictEqual } from 'node:util'
import { type Issuer, type IssuerWithDefaults, normalIssuer } from '../../policy/issuer.ts'
import { Quarantine } from '../../policy/quarantine.ts'
import { faultOfIssuer } from '../../policy/soundness.ts'
import { KeySet } from './key-set.ts'

/** An issuer that a tenant trusts. */
export interface Registration {
  readonly issuer: IssuerWithDefaults
  /** The revision that wrote it: what it gave in another version has ended. */
  readonly version: number
  readonly keys: KeySet
}

/** The issuers that one tenant trusts, at its present revision. Those that are not enabled are not among them. */
export class Registrations {
  readonly quarantine = new Quarantine()
  readonly #byName = new Map<string, Registration>()
  readonly #byIssuer = new Map<string, Registration>()

  /** A document that cannot be read is as good as none: whom it vouches for, and how, cannot be told. */
  put(name: string, stored: Issuer, version: number): void {
    const before = this.#byName.get(name)
    this.remove(name)
    const fault = faultOfIssuer(name, stored)
    this.quarantine.set('issuer', name, fault)
    if (fault !== undefined) return
    const issuer = normalIssuer(stored)
    if (!issuer.enabled) return
    // A change that leaves the keys where they are must not wait for a server that may be away.
    const keys = before !== undefined && sameKeys(before.issuer, issuer) ? before.keys : new KeySet(issuer)
    const registration = { issuer, version, keys }
    this.#byName.set(name, registration)
    this.#byIssuer.set(issuer.issuer, registration)
  }

  remove(name: string): void {
    this.quarantine.set('issuer', name, undefined)
    const registration = this.#byName.get(name)
    if (registration === undefined) return
    this.#byName.delete(name)
    this.#byIssuer.delete(registration.issuer.issuer)
  }

  named(name: string): Registration | undefined {
    return this.#byName.get(name)
  }

  /** By what `iss` says, to the letter. */
  of(issuer: string): Registration | undefined {
    return this.#byIssuer.get(issuer)
  }
}

function sameKeys(one: IssuerWithDefaults, other: IssuerWithDefaults): boolean {
  const source = ({ issuer, discovery_url, jwks_uri, jwks, algorithms }: IssuerWithDefaults) =>
    [issuer, discovery_url, jwks_uri, jwks, algorithms] as const
  return isDeepStrictEqual(source(one), source(other))
}
