import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verdict } from './run.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verdict-junit-'))
})
afterAll(() => rm(folder, { recursive: true }))

// What XML has signs for, a half pair, and a control character that XML 1.0 cannot say: it comes by JSON's escapes.
const HOSTILE = `]]> <b> & "q" 'a'`
const CASES = `
policy: {verdict: 1}
cases:
  - name: ${JSON.stringify(HOSTILE)}
    request: {subject: {type: user, id: "<&>"}, action: {name: a}, resource: {type: doc, id: x}, context: {c: "\\u0001\\ufffe"}}
    want: {decision: true}
  - name: passes
    request: {subject: {type: user, id: u}, action: {name: a}, resource: {type: doc, id: x}}
    want: {decision: false}
`

async function junitOf(files: Readonly<Record<string, string>>): Promise<{ xml: string; status: number }> {
  const paths = await Promise.all(
    Object.entries(files).map(async ([name, text]) => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    }),
  )
  const out = join(folder, 'made', 'for', 'it.xml')
  const { status } = await verdict(['test', ...paths, '--junit', out])
  return { xml: await readFile(out, 'utf8'), status }
}

test('the file is made with its folders, and counts what passed, failed and could not be run', async () => {
  const { xml, status } = await junitOf({ 'a.yaml': CASES, 'b.yaml': 'cases: []' })
  expect(status).toBe(1)
  expect(xml).toMatch(
    /^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites name="verdict test" tests="3" failures="1" errors="1" time="\d+\.\d{6}">/,
  )
  const a = join(folder, 'a.yaml')
  expect(xml).toMatch(
    new RegExp(
      `<testsuite name="${a}" tests="2" failures="1" errors="0" skipped="0" time="[\\d.]+" timestamp="\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d">`,
    ),
  )
  expect(xml).toMatch(new RegExp(`<testcase name="passes" classname="${a}" file="${a}" line="7" time="[\\d.]+"/>`))
  expect(xml).toMatch(
    /<testcase name="can be run" .* line="1" time="0.000000">\n {6}<error type="malformed" message=".*\/cases: no case/,
  )
})

test('names and texts of all kinds are escaped, and what XML cannot say is replaced', async () => {
  const { xml } = await junitOf({ 'a.yaml': CASES, 'b.yaml': '"x\\e\\ud800\\ufffe": 1' })
  expect(xml).toContain('/x\ufffd\ufffd\ufffd: is not a member that is known here')
  expect(xml).toContain('name="]]&gt; &lt;b&gt; &amp; &quot;q&quot; \'a\'"')
  expect(xml).toContain('message="asked        user &lt;&amp;')
  // Both the message and the text say it all: one reader shows this, another that.
  expect(xml.match(/wanted true&#10; {13}got {4}false/g)).toHaveLength(1)
  expect(xml.match(/wanted true\n {13}got {4}false/g)).toHaveLength(1)
  expect(xml).not.toMatch(/\p{Surrogate}/u)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(xml).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/)
  // Outside of tags there is no bare sign, and every tag that opens is closed.
  expect(xml.replaceAll(/<[^<>]*>/g, '')).not.toMatch(/[<>]|&(?!(amp|lt|gt|quot|#\d+);)/)
  expect(xml.match(/<testcase [^>]*[^/]>/g)?.length ?? 0).toBe(xml.match(/<\/testcase>/g)?.length ?? 0)
})
