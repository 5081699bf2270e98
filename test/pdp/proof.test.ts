import { expect, test } from 'vitest'
import { Registrations } from '../../src/authn/issuer/registrations.ts'
import { type Proof, provenFacts } from '../../src/pdp/proof.ts'
import { bareEntity } from '../../src/policy/built-in.ts'
import type { Issuer } from '../../src/policy/issuer.ts'

const CORP: Issuer = {
  name: 'corp',
  issuer: 'https://corp.test',
  audiences: ['verdict'],
  claims: { subject: { type: 'user' } },
}
const proof: Proof = { issuer: 'corp', version: 3, jti: null, roles: ['editor'], until: 1000 }
const facts = { subject: bareEntity({ type: 'user', id: 'ann' }), resource: bareEntity({ type: 'doc', id: '1' }) }

function registered(version: number, more: Partial<Issuer> = {}): Registrations {
  const issuers = new Registrations()
  issuers.put(CORP.name, { ...CORP, ...more }, version)
  return issuers
}

test('the roles of a token are held by its subject in the decision, and leave no trace in the facts', () => {
  const { subject } = provenFacts(registered(3), facts, proof, 999)
  expect(subject.given.flat()).toMatchObject([
    { id: 'issuer:corp', subject: { type: 'user', id: 'ann' }, role: 'editor' },
  ])
  expect(facts.subject.given).toEqual([])
})

test.each([
  ['its issuer was removed', new Registrations(), 999],
  ['its issuer was registered anew', registered(4), 999],
  ['its issuer was disabled', registered(3, { enabled: false }), 999],
  ['it has expired', registered(3), 1000],
])('a token that was proven is refused in the turn that decides, if %s meanwhile', (_what, issuers, now) => {
  expect(() => provenFacts(issuers, facts, proof, now)).toThrow(
    expect.objectContaining({ code: 'invalid_subject_token' }),
  )
})
