import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Failure } from '../../src/failure.ts'
import { MAX_DEPTH, parseJson } from '../../src/http/json.ts'
import { spentMs } from '../support/stopwatch.ts'

const read = (text: string) => parseJson(Buffer.from(text))

describe('a JSON body', () => {
  test('that JSON.stringify wrote is read as it was', () => {
    const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }).filter((json) => {
      const text = JSON.stringify(json)
      return !/__proto__|[0-9]{16}|e[+]/.test(text) && !text.includes('\\u0000') && !/\\ud[89a-f]/i.test(text)
    })
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 2), (json, indent) => {
        expect(read(JSON.stringify(json, null, indent))).toEqual(JSON.parse(JSON.stringify(json)))
      }),
    )
  })

  test.each([
    ['a duplicate member', '{"a":1,"a":2}'],
    ['a duplicate member written in two ways', '{"a":1,"\\u0061":2}'],
    ['a duplicate member deep inside', '{"x":[{"y":{"a":1,"b":":","a":1}}]}'],
    ['a member named __proto__', '{"__proto__":{"admin":true}}'],
    ['a member named __proto__ by escapes', '{"\\u005f_proto__":1}'],
    ['a lone surrogate in a value', '{"a":"\\ud800"}'],
    ['a lone surrogate in a name', '{"\\udfff":1}'],
    ['NUL in a value', '{"a":"\\u0000"}'],
    ['one level too many', '['.repeat(MAX_DEPTH + 1) + ']'.repeat(MAX_DEPTH + 1)],
    ['a thousand levels', `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`],
    ['a number that is no double', '{"a":1e400}'],
    ['a whole number that has no neighbours', '{"a":[9007199254740993]}'],
    ['half a body', '{"a":'],
    ['an unterminated string', '{"a":"b'],
    ['nothing', ''],
    ['two values', '{} {}'],
  ])('with %s is refused', (_what, text) => {
    expect(() => read(text)).toThrow(Failure)
  })

  test('that is not UTF-8 is refused', () => {
    expect(() => parseJson(Buffer.from([0x22, 0xc3, 0x28, 0x22]))).toThrow('not valid UTF-8')
    expect(() => parseJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrow('not valid UTF-8')
  })

  test.each([
    '{"a:b":"c:d\\":e","f":[":",{"g":"\\\\"}]}',
    '{"a":"\\\\\\"","b":1}',
    '{"constructor":1,"a\\u0041":"\\u00e9"}',
  ])('with colons, quotes and escapes in strings is read: %s', (text) => {
    expect(read(text)).toEqual(JSON.parse(text))
  })

  test('as deep as is allowed is read', () => {
    expect(read('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH))).toBeInstanceOf(Array)
  })

  test('of quotes and backslashes without end is read in linear time', async () => {
    const text = `{"a":"${'\\"'.repeat(100_000)}"}`
    expect(await spentMs(() => read(text))).toBeLessThan(500)
  })
})
