import { claimAt, type Issuer, type IssuerWithDefaults, placeOf } from '../../policy/issuer.ts'
import { escaped } from '../../policy/json.ts'
import { type EntityRef, IDENTIFIER_PATTERN, type Properties } from '../../policy/model.ts'
import { checkRef } from '../../policy/parse.ts'

/** What a token says, read by its issuer's registration. */
export interface Statement {
  readonly subject: EntityRef
  readonly properties: Properties
  /** Of those that the registration allows. */
  readonly roles: readonly string[]
}

/** What is wrong with a token, for whoever has sent it. */
export class Unfit {
  readonly detail: string

  constructor(detail: string) {
    this.detail = detail
  }
}

const IDENTIFIER = new RegExp(IDENTIFIER_PATTERN, 'u')
const ROLES_AT_MOST = 1000

/** Reads verified claims. What is there and can't be read is refused: a deny may hang on a role or a property. */
export function readClaims(issuer: IssuerWithDefaults, claims: Properties): Statement | Unfit {
  const { properties = {}, required = {} } = issuer.claims
  for (const [path, wanted] of Object.entries(required)) {
    const value = claimAt(claims, path)
    const isFit = Array.isArray(wanted) ? wanted.some((one) => one === value) : wanted === value
    if (!isFit) return new Unfit(`the claim ${path} does not say what the registration requires`)
  }
  const subject = subjectOf(issuer, claims)
  if (subject instanceof Unfit) return subject
  const elsewhere = Object.values(properties).find((path) => isElsewhere(claims, path))
  if (elsewhere !== undefined) return distributed(elsewhere)
  const roles = rolesOf(issuer, claims)
  if (roles instanceof Unfit) return roles
  const values = Object.entries(properties).map(([name, path]) => [name, claimAt(claims, path)] as const)
  return { subject, properties: Object.fromEntries(values.filter(([, value]) => value !== undefined)), roles }
}

function subjectOf({ claims: { subject } }: Issuer, claims: Properties): EntityRef | Unfit {
  const { type, claim = 'sub', prefix = '' } = subject
  const value = claimAt(claims, claim)
  if (typeof value !== 'string' || value === '') return new Unfit(`the claim ${claim} is no text that names a subject`)
  const ref = { type, id: `${prefix}${value}` }
  const isFit = ref.id.length <= 512 && IDENTIFIER.test(ref.id) && checkRef('', ref).length === 0
  return isFit ? ref : new Unfit(`the claim ${claim} is no id: it is too long, or holds control characters`)
}

function rolesOf({ claims: { roles }, allowed_roles }: IssuerWithDefaults, claims: Properties): string[] | Unfit {
  if (roles === undefined) return []
  const { claim, separator, map } = roles
  if (isElsewhere(claims, claim)) return distributed(claim)
  const said = claimAt(claims, claim) ?? []
  const values = typeof said === 'string' ? (separator === undefined ? [said] : said.split(separator)) : said
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'string') || values.length > ROLES_AT_MOST) {
    return new Unfit(`the claim ${claim} is neither a text nor a list of at most ${ROLES_AT_MOST} texts`)
  }
  const byValue = map === undefined ? undefined : new Map(Object.entries(map))
  const named = byValue === undefined ? values : values.map((value) => byValue.get(value))
  return [...new Set(named)].filter((role) => role !== undefined).filter((role) => allowed_roles.includes(role))
}

/** Claims that stand elsewhere (OpenID Connect Core, 5.6.2), as of a user in more groups than a token holds. */
function isElsewhere(claims: Properties, path: string): boolean {
  const [first = ''] = placeOf(path)
  return claimAt(claims, path) === undefined && claimAt(claims, `/_claim_names/${escaped(first)}`) !== undefined
}

function distributed(path: string): Unfit {
  return new Unfit(`the claim ${path} is not in the token: it would have to be fetched from elsewhere`)
}
