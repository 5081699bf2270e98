import { expect, test } from 'vitest'
import { parseBundle } from '../../src/policy/parse.ts'
import { checkRedaction } from '../../src/policy/redaction-path.ts'

test.each([
  'subject.id',
  'subject.properties',
  'subject.properties.email',
  'subject.properties.*',
  'resource.properties.*.owner.name',
  'resource.properties["a.b"].c',
  'resource.properties["a\\"b"]',
  'action.properties.x',
  'actor.id',
  'context',
  'context.e-mail',
  'context.straße',
  'ip',
  'user_agent',
])('%s is a path', (path) => {
  expect(checkRedaction({ [path]: 'keyed_hash' })).toEqual([])
})

test.each([
  ['subject', 'no such path'],
  ['subject.type', 'no such path'],
  ['subject.id.x', 'no such path'],
  ['action.name', 'no such path'],
  ['request_id', 'no such path'],
  ['resource.*', 'no such path'],
  ['actor', 'no such path'],
  ['*', 'not a path'],
  ['', 'not a path'],
  ['context.', 'not a path'],
  ['.context', 'not a path'],
  ['context..a', 'not a path'],
  ['context.a*', 'not a path'],
  ['context[0]', 'not a path'],
  ['context["a"', 'not a path'],
  ['context["a"]b', 'not a path'],
  ['["context"].a', 'not a path'],
  ['context.a b]', 'not a path'],
])('%s is refused, with its place', (path, detail) => {
  const problems = checkRedaction({ [path]: 'drop' })
  expect(problems).toEqual([{ pointer: `/redaction/${path}`, detail: expect.stringContaining(detail) }])
})

test.each(['subject.id', 'resource.id', 'actor.id'])('%s is never dropped', (path) => {
  expect(checkRedaction({ [path]: 'drop' })).toMatchObject([{ detail: expect.stringContaining('clear or keyed_hash') }])
})

test('one path written in two ways is refused', () => {
  const problems = checkRedaction({ 'context.a': 'drop', 'context["a"]': 'clear' })
  expect(problems).toEqual([{ pointer: '/redaction/context["a"]', detail: 'says the same path as context.a' }])
})

test('a policy file with a path that is none is refused', () => {
  const parsed = parseBundle({ verdict: 1, settings: { redaction: { nobody: 'drop', ip: 'hide' } } })
  expect(parsed).toMatchObject({ problems: [{ pointer: '/settings/redaction/ip' }] })
  const read = parseBundle({ verdict: 1, settings: { redaction: { nobody: 'drop' } } })
  expect(read).toMatchObject({ problems: [{ pointer: '/settings/redaction/nobody' }] })
})
