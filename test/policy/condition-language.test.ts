import { describe, expect, test } from 'vitest'
import { compileCondition } from '../../src/policy/condition.ts'
import { holds } from '../support/condition-scope.ts'

/** The language, function by function, on JSON: what a request, and what the store, brings. */
const CONTEXT =
  JSON.parse(`{"n": 3, "half": 0.5, "zero": 0, "minus": -7, "list": [1, 2, 3], "strs": ["b", "a"], "text": "héllo",
  "abc": "abc", "map": {"x": 1, "y": {"z": [1]}}, "objs": [{"name": "a"}, {"name": "b", "v": 2}], "nothing": null,
  "flag": true, "at": "2030-07-01T10:00:00Z", "epoch": 1893456000, "mixed": [1, "a", null, {"x": 1}],
  "a/b": 1, "numeral": "12", "big": 1e300}`)

const TRUE: Record<string, readonly string[]> = {
  'all, exists, exists_one, filter and map': [
    'context.list.all(x, x > 0)',
    '!context.list.all(x, x > 1)',
    'context.list.exists(x, x == 2)',
    'context.list.exists_one(x, x == 2) && !context.list.exists_one(x, x > 1)',
    'context.list.filter(x, x > 1) == [2, 3]',
    'context.list.map(x, x * 2) == [2, 4, 6]',
    'context.list.map(x, x > 1, x * 2) == [4, 6]',
    'context.list.exists(i, context.list.exists(j, i + j == 6))',
    'context.map.all(key, key in ["x", "y"]) && context.map.map(key, key) == ["x", "y"]',
    'context.objs.map(o, o.name) == ["a", "b"]',
    'context.objs.filter(o, has(o.v))[0].name == "b"',
    '[].all(x, false) && ![].exists(x, true)',
    'cel.bind(x, context.n, x + 1 == 4)',
  ],
  has: [
    'has(context.map.x) && !has(context.map.q)',
    'has(context.nothing)',
    'has(context.objs[1].v) && !has(context.objs[0].v)',
    'has(context.map["y"].z)',
    'has(subject.properties) && !has(subject.properties.x)',
    'has(context.objs.filter(o, o.name == "b")[0].v)',
    '!has(context.?q.x) && has(context.?map.x)',
  ],
  'values that may be absent': [
    'context.?q.orValue(5) == 5 && context.?n.orValue(5) == 3',
    'context.?q.x.y.orValue("none") == "none"',
    'context.?map.y.z[0].orValue(0) == 1',
    'context.list[?7].orValue(0) == 0 && context.list[?1].orValue(0) == 2',
    'context.map[?"x"].hasValue() && !context.map[?"q"].hasValue()',
    'context.?q.or(context.?n).value() == 3',
    'dyn(context.?n) == dyn(optional.of(3)) && dyn(context.?q) == dyn(optional.none())',
    'dyn(context.?n) != dyn(optional.of(4))',
    'subject.properties.?level.orValue("none") == "none"',
  ],
  'numbers, of whatever type': [
    'size(context.list) == 3 && context.list.size() == context.n',
    'context.list[0] == 1 && context.list[context.zero] == 1 && context.list[int(context.zero)] == 1',
    'context.n in [1, 2, 3] && 3 in context.list && 3u in [1, 3]',
    'int(context.n) % 2 == 1 && context.n % 2 == 1 && context.minus % 2 == -1',
    'context.n > 2 && 2 < context.n && context.n <= 3.0 && 3 >= context.n',
    '1 < 1.5 && 1.5 > 1 && 1 == 1.0 && 1u == 1 && 1.0 == 1u',
    'uint(context.n) == 3 && uint(context.n) + 1 == 4 && 3u < 4 && 5u - 2u == 3',
    'size(context.list) * 0.5 > 1.4 && size(context.list) / context.n == 1',
    '7 / 2 == 3 && 7 % 2 == 1 && context.n / 2 == 1.5',
    '-context.n == -3 && -1 == 0 - 1 && --1 == 1',
    'double("1e3") == 1000.0 && double(context.numeral) == 12.0 && double(3) == 3.0',
    'int("5") == 5 && int("-5") == -5 && int(context.half) == 0 && int(context.numeral) == 12',
    'string(1.0) == "1" && string(context.n) == "3" && string(context.half) == "0.5" && string(-5) == "-5"',
    '0x10 == 16 && 1e3 == 1000.0 && 0.5 == context.half',
    'context.big * 2 > context.big',
  ],
  texts: [
    'size(context.text) == 5 && context.text.size() == 5',
    'context.abc.contains("b") && context.abc.startsWith("a") && context.abc.endsWith("c")',
    'context.abc.indexOf("c") == 2 && context.abc.lastIndexOf("z") == -1 && context.abc.indexOf("a", 1) == -1',
    'context.abc.substring(1) == "bc" && context.abc.substring(context.zero, 2) == "ab"',
    'context.abc.substring(0, context.n) == "abc"',
    'context.abc.split("") == ["a", "b", "c"] && "a,b,c".split(",", context.n - 1) == ["a", "b,c"]',
    'context.strs.join(",") == "b,a" && context.strs.join() == "ba"',
    '" a ".trim() == "a" && "ABCÄ".lowerAscii() == "abcÄ" && "abcß".upperAscii() == "ABCß"',
    '"a" + context.abc == "aabc" && "a" < "b" && context.abc >= "abc"',
    'context.abc.matches("^a") && matches(context.abc, "c$") && !matches(context.abc, "^b")',
    'r"\\d" == "\\\\d" && \'it\' == "it" && """a""" == "a" && "\\u0041" == "A"',
    'bool("true") && !bool("false") && string(true) == "true"',
    'b"abc" == bytes(context.abc) && size(b"abc") == 3 && string(b"abc") == "abc" && b"a" + b"b" == b"ab"',
    'bytes("abc").base64() == "YWJj" && bytes("abc").hex() == "616263" && bytes("{\\"a\\": 1}").json().a == 1',
  ],
  'lists and maps': [
    '[1, 2] + [3] == context.list && context.list + [4] == [1, 2, 3, 4]',
    '[1.0, 2.0, 3.0] == context.list && [1, 2] != [2, 1]',
    '"x" in context.map && !("q" in context.map) && context["a/b"] == 1',
    '{"a": 1, "b": [1, {"c": null}]} == {"b": [1.0, {"c": null}], "a": 1.0}',
    '{"a": context.n}.a == 3 && {1: "a"}[1] == "a" && context.n in {1: "a", 3: "b"}',
    '{"constructor": 1}.constructor == 1 && {"__proto__": 1}["__proto__"] == 1',
    'size(context.map) == 2 && context.map.size() == 2 && size({}) == 0',
    '{"x": 1} in context.mixed && null in context.mixed',
  ],
  'conditions of conditions, types, null': [
    'context.flag ? context.n == 3 : false',
    '(context.flag ? 1 : 2) == 1 && (context.flag ? "a" : context.n) == "a"',
    'context.n > 1 && context.n < 10 || false',
    'context.nothing == null && context.map != null && type(null) == null_type',
    'type(context.n) == double && type(1) == int && type(1u) == uint && type("") == string && type(true) == bool',
    'type(context.list) == list && type(context.map) == map && type(b"") == bytes && type(int) == type',
    'type(now) == google.protobuf.Timestamp && type(duration("1s")) == google.protobuf.Duration',
    'dyn(1) == 1 && context.flag == true && context.n != "3"',
    'true // a comment\n && true',
  ],
  'timestamps and durations': [
    'timestamp(context.at) > now && timestamp("2030-01-02T03:04:05.678Z") == now',
    'timestamp("2030-01-02T04:04:05.678+01:00") == now && timestamp("2030-01-02T03:04:05.678123456Z") == now',
    'timestamp(context.epoch) == timestamp("2030-01-01T00:00:00Z") && timestamp(1893456000) < now && timestamp(now) == now',
    'int(now) == 1893553445 && string(now) == "2030-01-02T03:04:05.678Z" && string(timestamp(0)) == "1970-01-01T00:00:00Z"',
    'now.getFullYear() == 2030 && now.getMonth() == 0 && now.getDate() == 2 && now.getDayOfMonth() == 1',
    'now.getDayOfWeek() == 3 && now.getDayOfYear() == 1 && now.getHours() == 3 && now.getMinutes() == 4',
    'now.getSeconds() == 5 && now.getMilliseconds() == 678',
    'now + duration("1h") > now && now - duration("1h") < now && duration("1h") + now > now',
    'now - timestamp("2030-01-01T00:00:00Z") > duration("27h") && now - now == duration("0")',
    'duration("1.5s") == duration("1500ms") && duration("1h30m") == duration("90m") && duration(duration("1s")) == duration("1s")',
    'duration("1s") - duration("1.5s") == duration("-0.5s") && duration("-1.5s") + duration("1.5s") == duration("0s")',
    'duration("90m").getHours() == 1 && duration("90m").getMinutes() == 90 && duration("2s").getSeconds() == 2',
    'string(duration("90s")) == "90s" && string(duration("-1.5s")) == "-1.5s" && string(duration("1h")) == "3600s"',
    'now in [timestamp("2030-01-02T03:04:05.678Z")] && duration("1s") < duration("2s")',
  ],
}

describe.each(Object.entries(TRUE))('%s', (_name, conditions) => {
  test.each(conditions)('%s', (text) => {
    expect(holds(text, { context: CONTEXT })).toBe(true)
  })
})

describe('an error, never a guess', () => {
  test.each([
    // Infinity would be larger than any limit.
    'context.n / context.zero > 5',
    '1.0 / 0.0 > 5.0',
    '1 / 0 > 5',
    '1 % 0 == 0',
    '9223372036854775807 + 1 > 0',
    'context.list[3] == 1',
    'context.list[-1] == 3',
    'context.list[context.half] == 1',
    'context.list["0"] == 1',
    'context.abc.substring(context.half) == "abc"',
    'context.abc.substring(2, 1) == ""',
    'context.strs.join(context.n) == ""',
    'context.list.join(",") == "1,2,3"',
    'int(context.abc) == 0',
    'int(context.abc.substring(3)) == 0',
    'int(context.big) > 0',
    'double(context.abc + "x") > 0.0',
    'double("0x" + context.numeral) > 0.0',
    'bool(context.abc)',
    'uint(context.minus) > 0u',
    'timestamp(context.abc) < now',
    'timestamp("2030-02-" + context.numeral + "T24:00:00Z") < now',
    'timestamp(context.big) > now',
    'duration(context.abc) > duration("0s")',
    'duration("" + "s") == duration("0s")',
    'now + duration("99999999999h") > now',
    'context.abc.all(x, true)',
    'context.n.exists(x, true)',
    'dyn(now).all(x, false)',
    'context.list.all(x, x)',
    'context.list.exists_one(x, x.y)',
    'context.?q.value() == 1',
    '{context.list: 1} == {}',
    'context.flag > 1',
    'context.nothing < 1',
    'context.nothing.x == 1',
    'context.map < context.map',
  ])('%s', (text) => {
    expect(holds(text, { context: CONTEXT })).toBeUndefined()
  })
})

test('lower case is of ASCII alone: other letters that lower to ASCII stay themselves', () => {
  // U+212A, the Kelvin sign, lowers to "k" in Unicode.
  expect(holds('context.name.lowerAscii() == "kim"', { context: { name: '\u212aim' } })).toBe(false)
  expect(holds('context.name.lowerAscii() == "kim"', { context: { name: 'KIM' } })).toBe(true)
})

describe('what is constant is tried when it is written, and refused with its place', () => {
  test.each([
    ['now > timestamp("2030-02-30T00:00:00Z")', 1, 17, 'a timestamp is'],
    ['now > timestamp("Tue, 01 Jan 2030 00:00:00 GMT")', 1, 17, 'a timestamp is'],
    ['now > timestamp("2030-01-01T00:00:00.000")', 1, 17, 'a timestamp is'],
    ['true &&\n  duration("1 day") > duration("1h")', 2, 12, 'a duration is'],
    ['int("1.5") == 1', 1, 5, 'no integer'],
    ['double("0x10") > 1.0', 1, 8, 'no number'],
    ['now.getHours("Europe/Zürich") > 8', 1, 14, 'no such time zone'],
    ['now.getDayOfWeek("+2:00") == 1', 1, 18, 'no such time zone'],
    ['true && ip_in(context.ip, "10.0.0.0/33")', 1, 27, 'no prefix'],
    ['ip_in(context.ip, "10.0.0.1/8")', 1, 19, 'beyond its prefix'],
    ['ip_in(context.ip, "office")', 1, 19, 'an address is'],
    ['ip_in(context.ip,\n ["10.0.0.0/8",\n  "10.0.0/8"])', 3, 3, 'an address is'],
    ['matches(context.s, "(")', 1, 1, 'regular expression'],
    ['ip_in(context.ip)', 1, 1, 'no matching overload'],
    ['subset("a", ["a"])', 1, 1, 'no matching overload'],
    ['has(context)', 1, 5, 'has'],
    ['has(subject.idd)', 1, 13, 'idd'],
  ])('%s', (text, line, column, detail) => {
    expect(compileCondition(text)).toMatchObject({ line, column, detail: expect.stringContaining(detail) })
  })
})
