/** Attacks that other tests try, beside what they are about: where they stand, and which. */
export const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'test/authn/foreign-token.test.ts': [
    'alg none, with something for a signature',
    'HS256 with the public key in PEM',
    'HS256 with the JWK',
    'a kid that is a path',
    'a payload that is not encoded',
    'a key that comes with the token is not looked at',
    'a copy with another last character is verified by itself, never known',
    'a forged token with the jti of a known one is not taken for it',
    'an algorithm that is not registered does not even make the keys be asked for',
    'an RSA key that is too short is no key',
    'RS256 is refused of a key that is for PS256',
  ],
  'test/authn/key-set.test.ts': [
    'is asked for at most once a minute',
    'is asked for once, however many wait for it',
    'an empty set',
    'a set without end',
    'of which there are two of one name is none',
  ],
  'test/outgoing/fetch-json.test.ts': [
    'so that a second answer of the name server changes nothing (rebinding)',
    'and the connection does not look it up again',
    'a public address and a private one',
    'that leads elsewhere',
    'without end',
    'is refused too where the environment turns the check of certificates off',
  ],
  'test/store/walls.test.ts': [
    'lets a query without its tenant condition see the rows of the tenant it is for, and no other',
    'lets a write without its tenant condition change no other tenant',
    'refuses a row that is put into another tenant, and one that is moved there',
  ],
  'test/store/sessions.test.ts': [
    'of twenty who spend a refresh token at once, one gets another, in each of 200 rounds',
    'a session that is opened while the password changes is ended by that, or not opened',
  ],
  'test/store/logins.test.ts': ['of any number of attempts at once, five are let through'],
  'test/http/people.test.ts': [
    'does not keep out a right password with a right code, and counts codes only with a right password',
    'is one for codes, too: who has the password guesses five',
    'gets one and the same answer, whatever is wrong with it',
  ],
  'test/http/escalation.test.ts': [
    'nor by some hundreds of random calls of a coalition',
    'stays, also where two requests at once take one of two each',
    'manages its keys, settings and pdp: assignments, and no route more',
  ],
  'test/http/dump.test.ts': [
    'authenticates nobody: no hash in it is good as a secret',
    'opens nothing: a service over it that has another master key does not start',
  ],
  'test/http/edge.test.ts': [
    'from the addresses of one IPv6 network are of one address',
    'is what the proxy that is trusted says, not what the caller told the proxy',
    'that are refused count too, and leave no record each',
  ],
}
