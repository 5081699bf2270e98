export interface Guard {
  readonly guard: string
  readonly file: string
  /** Attacks of the tables that were not answered as they should be when it was removed; six of them at most. */
  readonly red: readonly string[]
}

/** Guards that were removed once, one at a time. */
export const GUARDS: readonly Guard[] = [
  {
    guard: '`iss` of access tokens',
    file: 'src/http/access-token.ts',
    red: [
      'of another issuer',
      'of this issuer with a slash more',
      'of this issuer in capitals',
      'of a list of issuers',
    ],
  },
  { guard: '`aud` of access tokens', file: 'src/http/access-token.ts', red: ['for another audience', 'for nobody'] },
  {
    guard: '`typ` of access tokens',
    file: 'src/http/access-token.ts',
    red: ['typ of an id token', 'no typ', 'typ of a logout token', 'typ as a list'],
  },
  {
    guard: 'claims that are required of access tokens',
    file: 'src/http/access-token.ts',
    red: ['without nbf', 'without an issuer', 'without an audience'],
  },
  {
    guard: 'types of claims, and no token from the future',
    file: 'src/http/access-token.ts',
    red: ['issued in ten minutes', 'a subject that is an object', 'a subject with a control character'],
  },
  { guard: 'a token is of one thing', file: 'src/http/access-token.ts', red: ['of a key and of a session'] },
  {
    guard: "the tenant of a token's key",
    file: 'src/authn/authenticate.ts',
    red: ['a tenant that is not there', 'another tenant than that of its key'],
  },
  {
    guard: 'a token ends with its very key',
    file: 'src/authn/authenticate.ts',
    red: ['with its key, of which another one has the id now'],
  },
  {
    guard: 'revocation by `jti`',
    file: 'src/authn/authenticate.ts',
    red: ['by its revocation, however it is spelled'],
  },
  {
    guard: 'sessions that were ended',
    file: 'src/authn/authenticate.ts',
    red: ['with its session, however it is spelled', 'with the password of its session'],
  },
  { guard: 'the end of API keys', file: 'src/authn/authenticate.ts', red: ['with its key, that expires'] },
  {
    guard: 'the secret of API keys',
    file: 'src/authn/authenticate.ts',
    red: [
      'a known id with another secret',
      'a known id with the secret of another key',
      'the first half of a secret',
      'a secret with one character more',
      'a secret in the other case',
      'the hash of the secret, as it is stored',
    ],
  },
  {
    guard: 'NFKC before passwords are measured',
    file: 'src/authn/password/rules.ts',
    red: ['of twelve that are six when composed'],
  },
  {
    guard: 'NFKC of usernames',
    file: 'src/authn/password/rules.ts',
    red: ['for a name that another has, in full width', 'for a name that another has, in another form'],
  },
  {
    guard: 'the list of common passwords',
    file: 'src/authn/password/rules.ts',
    red: ['a common one', 'a common one in full width', 'a common one with signs around'],
  },
  { guard: 'a key is not the person', file: 'src/http/guard.ts', red: ['by a key of its owner'] },
  {
    guard: 'reuse ends the family',
    file: 'src/http/authenticate/refresh-token.ts',
    red: ['the successor of one that was shown twice', 'the access token of a family of which one was shown twice'],
  },
  { guard: 'a code is good for once', file: 'src/store/totps.ts', red: ['the code that confirmed it', 'a code twice'] },
  { guard: 'a recovery code is good for once', file: 'src/store/totps.ts', red: ['a recovery code twice'] },
  {
    guard: '`Verdict-Tenant` is for operators',
    file: 'src/http/guard.ts',
    red: [
      'acting in another without being an operator',
      'acting in one’s own without being an operator',
      'acting in one that is not there, as no operator',
      'acting, as an admin of system who is no operator',
    ],
  },
  {
    guard: 'who may give a built-in role',
    file: 'src/administration/authority.ts',
    red: [
      'an entity writer who deletes the subject of a key with a role',
      'an admin of system who trusts an issuer of operators',
    ],
  },
  {
    guard: 'who may touch its holder',
    file: 'src/administration/authority.ts',
    red: [
      'an entity writer who disables an admin',
      'an entity writer who disables an admin in bulk',
      'an admin of system who makes a key that acts as root',
      'an admin of system who sets the password of root',
      'an admin of system who disables root',
    ],
  },
  {
    guard: 'the last admin stays',
    file: 'src/administration/authority.ts',
    red: ['two admins, each of whom takes the other’s role at once', 'the last admin, who disables itself'],
  },
  {
    guard: 'UTF-8 of bodies, surrogates, NUL',
    file: 'src/http/json.ts',
    red: ['half a surrogate in a body', 'the other half, as the name of a member', 'NUL in a body'],
  },
  {
    guard: 'UTF-8 of queries',
    file: 'src/http/query.ts',
    red: ['half a letter in a query', 'a percent that is none in a query', 'half a letter in the name of a filter'],
  },
  {
    guard: 'members that stand twice',
    file: 'src/http/json.ts',
    red: ['a member twice', 'a member twice, once in escapes'],
  },
  {
    guard: '`__proto__`',
    file: 'src/http/json.ts',
    red: ['__proto__', '__proto__ in escapes', '__proto__ in properties that are stored'],
  },
  { guard: 'a body that is packed', file: 'src/http/body.ts', red: ['packed'] },
  { guard: 'proxies that are named', file: 'src/http/server.ts', red: ['X-Forwarded-For from who is no proxy'] },
  { guard: '`Cache-Control`', file: 'src/http/headers.ts', red: ['a cache between'] },
  {
    guard: 'addresses that are checked',
    file: 'src/outgoing/fetch-json.ts',
    red: [
      'this machine',
      'this machine by its name',
      'this machine in IPv6',
      'this machine as IPv4 in IPv6',
      'this machine as a number',
      'this machine in hex',
    ],
  },
  { guard: "`aud` of issuers' tokens", file: 'src/authn/issuer/verify.ts', red: ['for another audience'] },
  {
    guard: 'who writes still holds what let it in',
    file: 'src/administration/change.ts',
    red: ['an admin whose role is taken away while it writes'],
  },
  {
    guard: 'nothing beyond what it is granted out of',
    file: 'src/administration/capabilities.ts',
    red: [
      'an action more',
      'every id of the type',
      'a later end, by a millisecond',
      'a higher limit',
      'a limit left out',
      'the wider part of it, by who was handed a part',
    ],
  },
  {
    guard: 'who grants out of a capability holds it itself',
    file: 'src/administration/capabilities/delegation.ts',
    red: ['what is held by a group of the grantor', 'what somebody else holds'],
  },
  {
    guard: 'only what is delegable is handed on',
    file: 'src/administration/capabilities/delegation.ts',
    red: ['what is not delegable'],
  },
  {
    guard: 'only what has not ended is handed on',
    file: 'src/administration/capabilities/delegation.ts',
    red: ['what ended a moment ago'],
  },
  {
    guard: 'the condition of the whole',
    file: 'src/policy/capability.ts',
    red: ['a condition that comments that of the whole out', 'used while the condition of the whole does not hold'],
  },
  {
    guard: 'no condition of its subject is handed on',
    file: 'src/policy/capability.ts',
    red: ['a condition of whoever holds it, to be handed on'],
  },
  {
    guard: 'limits of what is requested',
    file: 'src/policy/capability.ts',
    red: ['used beyond its limit', 'used with a limit that is no number', 'used with what is requested as a list'],
  },
  {
    guard: 'what was granted out of it is revoked too',
    file: 'src/store/capabilities.ts',
    red: ['what is revoked at the same time', 'used after the whole was revoked', 'used after its holder was deleted'],
  },
  {
    guard: 'capabilities go with their entity',
    file: 'src/administration/entities.ts',
    red: ['used after its holder was deleted'],
  },
  {
    guard: 'who revokes',
    file: 'src/administration/capabilities.ts',
    red: ['the whole, revoked by who was handed it'],
  },
  {
    guard: 'nobody approves what it asked',
    file: 'src/administration/permission-requests/deciding.ts',
    red: ['what one asked oneself, for somebody else'],
  },
  {
    guard: 'nobody approves for itself',
    file: 'src/administration/permission-requests/deciding.ts',
    red: ['what is for oneself', 'what is for a group that one is in'],
  },
  {
    guard: 'credentials that the asker made, and of the asker',
    file: 'src/administration/permission-requests/deciding.ts',
    red: ['by a key that the asker made', 'what was asked by a key that the approver made'],
  },
  {
    guard: 'what is decided stays decided',
    file: 'src/administration/permission-requests.ts',
    red: ['a second time', 'what was withdrawn'],
  },
  {
    guard: 'no more is approved than was asked',
    file: 'src/administration/permission-requests.ts',
    red: ['more than was asked', 'for longer than was asked'],
  },
  {
    guard: '`typ` of security contexts',
    file: 'src/authn/context/tokens.ts',
    red: ['no typ', 'typ of an access token', 'typ in capitals', 'typ as a list'],
  },
  {
    guard: 'the tenant of a context, when it is read and in the turn that decides',
    file: 'src/pdp/context.ts',
    red: ['shown there', 'shown here', 'known from its own tenant, shown in another in the same breath', 'received'],
  },
  {
    guard: 'the end of contexts',
    file: 'src/authn/context/tokens.ts',
    red: ['that ended a second ago', 'that ends now', 'by a second'],
  },
  {
    guard: 'that a revoked context is told to all',
    file: 'src/store/contexts.ts',
    red: [
      'replayed after its revocation, however it is spelled',
      'narrowed from what was revoked',
      'narrowed after the revocation',
    ],
  },
  {
    guard: 'contexts of a deleted entity',
    file: 'src/administration/credentials/remove.ts',
    red: ['with its subject, that was made again'],
  },
  {
    guard: 'one way to name a subject',
    file: 'src/contract/authorize.ts',
    red: ['a subject with a name and a context', 'properties beside a context'],
  },
  {
    guard: 'a narrowed context ends no later',
    file: 'src/administration/contexts.ts',
    red: ['narrowed to live longer'],
  },
]
