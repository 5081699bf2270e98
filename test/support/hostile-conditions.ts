/**
 * The dearest conditions and requests that were found, for bench and test: each goes over lists and texts as long as a
 * request of 256 KiB can carry them, until the budget is spent.
 */
export interface Hostile {
  readonly condition: string
  /** Beside `l`, the numbers from 0 to 999. */
  readonly context?: Readonly<Record<string, unknown>>
}

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
const numbers = (count: number) => many(count, (at) => at)
const members = (count: number) => Object.fromEntries(many(count, (at) => [`k${at}`, at]))
const all = (body: string) => `context.l.all(a, context.l.all(b, ${body}))`
const exists = (body: string) => `context.l.exists(a, context.l.exists(b, ${body}))`
const A = 'a'.repeat(200_000)
const WIDE = 'é中'.repeat(60_000)
const FAR = ' '.repeat(15_000)
const ZONES = Intl.supportedValuesOf('timeZone')

const LOOPS: Hostile[] = [
  { condition: all('true') },
  { condition: 'context.l.all(a, context.l.all(b, context.l.all(c, a + b + c >= 0)))' },
  { condition: exists('a == -1') },
  { condition: 'context.l.filter(a, context.l.filter(b, b == a).size() == 1).size() > 0' },
  { condition: 'context.l.exists_one(a, context.l.exists_one(b, b == a) && a == -1)' },
  { condition: 'context.l.map(a, context.l.map(b, [a, b, a, b])).size() > 0' },
  { condition: 'context.l.map(a, context.l.map(b, {"a": a, "b": b})).size() > 0' },
  { condition: 'context.l.map(a, context.l.map(b, string(a) + string(b))).size() > 0' },
  { condition: 'context.l.map(a, context.l + context.l).size() > 0', context: { l: numbers(20_000) } },
  { condition: all(`size([${numbers(400)}]) == 400`) },
  { condition: all('"editor" in subject.roles') },
]

const ERRORS: Hostile[] = [
  { condition: exists('context.missing == -1') },
  { condition: exists('a.x.y') },
  { condition: exists('b') },
  { condition: exists('!b') },
  { condition: exists('b[0] == 1') },
  { condition: exists(`${FAR}context.l[5000] == 1`) },
  { condition: exists(`${FAR}bytes("x").at(5) == 1`) },
  { condition: exists('int(string(b) + "x") > 0') },
  { condition: exists('timestamp(context.s) > now'), context: { s: 'x' } },
  { condition: exists('ip_in(context.s, "10.0.0.0/8")'), context: { s: 'x' } },
  { condition: exists('context.?l[5000].hasValue()') },
  { condition: 'context.m.exists(a, context.m.exists(b, a.x))', context: { m: numbers(50_000) } },
]

const TEXTS: Hostile[] = [
  { condition: all('context.s.lowerAscii() != "x"'), context: { s: A } },
  { condition: all('context.s.lowerAscii() != "x"'), context: { s: 'aA'.repeat(100_000) } },
  { condition: all('context.s.upperAscii() != "x"'), context: { s: 'aé'.repeat(80_000) } },
  { condition: all('size(context.s) > 0'), context: { s: WIDE } },
  { condition: all('context.s.split("").size() > 0'), context: { s: A } },
  { condition: all('context.s.split("a", 50000).size() > 0'), context: { s: A } },
  { condition: all('context.s.split(",").join(";") != ""'), context: { s: 'a,'.repeat(100_000) } },
  { condition: all('context.l.map(c, "x").join(context.s) != ""'), context: { s: 'a'.repeat(1000) } },
  { condition: all('context.m.join("") == ""'), context: { m: many(50_000, () => '') } },
  { condition: all('context.m.join(context.s) != ""'), context: { m: many(50_000, () => ''), s: 'a' } },
  { condition: all('context.s.contains(context.t)'), context: { s: A, t: `${'a'.repeat(5000)}b${'a'.repeat(5000)}` } },
  { condition: all('context.s.lastIndexOf(context.t) < 0'), context: { s: A, t: `b${'a'.repeat(100)}` } },
  { condition: all('context.s == context.t'), context: { s: `${A}b`, t: `${A}c` } },
  { condition: all('context.s < context.t'), context: { s: `${A}b`, t: `${A}c` } },
  { condition: all('context.s + context.s != ""'), context: { s: A } },
  {
    condition: 'cel.bind(a, context.s + context.s, cel.bind(b, a + a, cel.bind(c, b + b, (c + c).lowerAscii() != "")))',
    context: { s: A },
  },
  { condition: all('string(bytes(context.s)) != ""'), context: { s: WIDE } },
  { condition: all('bytes(context.s).base64() != ""'), context: { s: A } },
  { condition: exists('bytes(context.s).json() == {}'), context: { s: '['.repeat(200_000) } },
  { condition: all('bytes(context.s).json() != {}'), context: { s: JSON.stringify(members(15_000)) } },
  { condition: all('string(a) != "x"'), context: { l: many(1000, (at) => at + 0.123_456_7) } },
  { condition: all('int(string(a)) >= 0') },
  { condition: all('double(string(a)) >= 0.0') },
]

const PATTERNS: Hostile[] = [
  { condition: 'context.l.all(a, context.s.matches("(a|aa)+$"))', context: { s: `${A}b` } },
  { condition: all('context.s.matches("^a")'), context: { s: A } },
  { condition: all('context.s.matches("^a.*c$")'), context: { s: 'abc' } },
  {
    condition: 'context.l.all(a, !context.s.matches(context.p + string(a)))',
    context: { s: 'aaaa', p: '(a|b){1,90}' },
  },
  {
    condition: 'context.l.all(a, !context.s.matches(context.p + string(a)))',
    context: { s: 'a', p: '[\\pL\\pN]{1,40}' },
  },
  {
    condition: 'context.l.exists(a, context.s.matches(context.p + string(a)))',
    context: { s: 'a', p: '(a|b){1,90}(' },
  },
]

const STRUCTURES: Hostile[] = [
  { condition: all('context.o == context.p'), context: { o: members(9000), p: members(9000) } },
  {
    condition: all('context.o == context.p'),
    context: { o: many(3000, (at) => ({ [`k${at}`]: at })), p: many(3000, (at) => ({ [`k${at}`]: at })) },
  },
  { condition: all('size(context.o) > 0'), context: { o: members(10_000) } },
  { condition: 'context.l.all(a, context.o.exists(k, true))', context: { o: members(10_000) } },
  { condition: 'context.o.all(k, context.o.all(j, context.o[k] >= 0))', context: { o: members(5000) } },
  { condition: 'context.o.all(k, context.o.exists(j, k == j))', context: { o: members(10_000) } },
  { condition: 'context.l.all(a, context.o.map(k, {k + string(a): k}).size() > 0)', context: { o: members(15_000) } },
  { condition: 'context.l.all(a, -1 in context.m || true)', context: { m: numbers(30_000) } },
  { condition: 'context.l.all(a, subset(context.m, context.m))', context: { m: numbers(20_000) } },
  {
    condition: 'context.l.all(a, subset(context.m, context.m))',
    context: { m: many(10_000, (at) => `a longer name ${at}`) },
  },
  { condition: 'context.l.all(a, subset(context.m, context.m))', context: { m: many(3000, (at) => ({ x: at })) } },
  {
    condition: 'context.l.all(a, !intersects(context.m, context.l))',
    context: { m: many(20_000, (at) => at + 0.5) },
  },
  { condition: all('context.?o.?x.?y.orValue(1) == 1'), context: { o: { x: {} } } },
  { condition: all('type(context.o) == map'), context: { o: {} } },
]

const TIMES_AND_ADDRESSES: Hostile[] = [
  { condition: all('now.getHours("Europe/Berlin") >= 0') },
  {
    condition: 'context.l.all(a, context.z.all(z, timestamp(a).getHours(z) >= 0))',
    context: { l: many(1000, (at) => at * 100_000), z: ZONES },
  },
  {
    condition: 'context.l.exists(a, context.l.exists(z, now.getHours(z) > 50))',
    context: { l: many(1000, (at) => `No/${at}`) },
  },
  { condition: all('timestamp(context.s) > now'), context: { s: '2035-01-01T00:00:00.123456789+01:00' } },
  { condition: all('duration(context.s) > duration("0s")'), context: { s: '1h'.repeat(50) } },
  { condition: all('duration(context.s) > duration("0s")'), context: { s: '1h1m1.5s1ms1us1ns' } },
  { condition: all('now + duration("1s") > now') },
  { condition: all('string(now - timestamp(0)) != ""') },
  {
    condition: all('ip_in(context.s, "2001:db8::/32")'),
    context: { s: '2001:db8:ffff:ffff:ffff:ffff:255.255.255.255' },
  },
  { condition: all('ip_in(context.s, context.t)'), context: { s: '10.0.0.1', t: '10.0.0.0/8' } },
  {
    condition: exists('ip_in(context.s, context.t)'),
    context: { s: '10.0.0.1', t: many(5000, () => '2001:db8:1:2:3:4:5:6/128') },
  },
  { condition: all('level(subject) > level("none")') },
]

export const HOSTILE: readonly Hostile[] = [
  ...LOOPS,
  ...ERRORS,
  ...TEXTS,
  ...PATTERNS,
  ...STRUCTURES,
  ...TIMES_AND_ADDRESSES,
].map(({ condition, context }) => ({ condition, context: { l: numbers(1000), ...context } }))
