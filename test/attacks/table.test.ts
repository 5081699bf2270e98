import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ELSEWHERE } from './elsewhere.ts'
import { GUARDS } from './guards.ts'

// docs/attacks.md says what these tests try. It is made here, of them: `npx vitest run test/attacks/table.test.ts -u`.

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

interface Group {
  readonly name: string
  readonly file: string
  readonly attacks: readonly (readonly [name: string, answer: string])[]
}

const GROUP = /^attacks\('([^']+)', \[$([\s\S]*?)^\]\)$/gm
const ATTACK = /\[\s*(?:'((?:[^'\\]|\\.)+)'|"([^"]+)"),\s*'((?:\d{3}|closed)[^']*)',/g

const groups: readonly Group[] = readdirSync(new URL('test/attacks/', ROOT))
  .filter((file) => file.endsWith('.test.ts') && file !== 'table.test.ts')
  .flatMap((file) =>
    [...read(`test/attacks/${file}`).matchAll(GROUP)].map(([, name = '', table = '']) => ({
      name,
      file: `test/attacks/${file}`,
      attacks: [...table.matchAll(ATTACK)].map(
        ([, single, double = '', answer = '']) => [(single ?? double).replaceAll("\\'", "'"), answer] as const,
      ),
    })),
  )

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
const count = groups.reduce((sum, { attacks }) => sum + attacks.length, 0)

const HEAD = `# Attacks

What is tried against Verdict in its tests, and what it answers: a status, with the pointer to what is wrong where there is
one. ${count} of them stand in tables under \`test/attacks\`, against a whole service over a real database; others beside what
their tests are about. This page is made of the tables, and a test fails when it is not up to date.

What would go wrong without a guard was seen for each guard in the last table, by removing it once: the attacks named there
were then not answered as they should be. Where others stand behind it, none is: the algorithms of an issuer are pinned
twice, what an acting operator may write is asked by each route and by the change, what an issuer may give when its token is
read and when it is used. That a refresh token is spent by one of many at once was red in \`test/store/sessions.test.ts\`, and
not here, where calls seldom meet.
`

function page(): string {
  const tables = groups.map(({ name, file, attacks }) => {
    const rows = attacks.map(([attack, answer]) => `| ${cell(attack)} | ${cell(answer)} |`)
    return `## ${name[0]?.toUpperCase()}${name.slice(1)}\n\n\`${file}\`\n\n| sent | answer |\n|---|---|\n${rows.join('\n')}\n`
  })
  const others = Object.entries(ELSEWHERE).flatMap(([file, titles]) =>
    titles.map((title) => `| \`${file}\` | ${cell(title)} |`),
  )
  const guards = GUARDS.map(({ guard, file, red }) => `| ${cell(guard)} | \`${file}\` | ${red.map(cell).join('; ')} |`)
  return [
    HEAD,
    ...tables,
    `## Elsewhere\n\n| test | of |\n|---|---|\n${others.join('\n')}\n`,
    `## Guards that were removed\n\n| without | in | these failed |\n|---|---|---|\n${guards.join('\n')}\n`,
  ].join('\n')
}

test('the table of attacks is up to date', async () => {
  await expect(page()).toMatchFileSnapshot('../../docs/attacks.md')
})

test('it holds what the tables hold: every group, and names that tell attacks apart', () => {
  const files = new Set(groups.map(({ file }) => file))
  for (const file of files) {
    const calls = read(file).match(/^attacks\(/gm)?.length
    expect([file, groups.filter((group) => group.file === file).length]).toEqual([file, calls])
  }
  for (const { name, attacks } of groups) {
    expect([name, attacks.length > 5]).toEqual([name, true])
    expect([name, new Set(attacks.map(([attack]) => attack)).size]).toEqual([name, attacks.length])
  }
  expect(count).toBeGreaterThan(300)
})

describe('what stands elsewhere is there', () => {
  test.each(Object.entries(ELSEWHERE))('%s', (file, titles) => {
    const text = read(file)
    for (const title of titles) expect(text).toContain(title)
  })
})

test('what was red without a guard is among the attacks', () => {
  const known = new Set(groups.flatMap(({ attacks }) => attacks.map(([attack]) => attack)))
  for (const { red } of GUARDS) for (const attack of red) expect(known).toContain(attack)
})
