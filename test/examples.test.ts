import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { verdict } from './cli/run.ts'

const PLACE = new URL('../examples/policies/', import.meta.url)
const contentOf = (path: URL) => readFileSync(path, 'utf8')

test('the policies of the guides decide as their cases say', async () => {
  const { status, stdout } = await verdict(['test', PLACE.pathname])
  expect(stdout).toMatch(/of \d+ cases passed/)
  expect(status).toBe(0)
})

test('each has cases', () => {
  const names = readdirSync(PLACE)
  const policies = names.filter((name) => !name.endsWith('.cases.yaml')).map((name) => name.replace('.yaml', ''))
  expect(policies.length).toBeGreaterThan(3)
  expect(policies.filter((name) => !names.includes(`${name}.cases.yaml`))).toEqual([])
})

test('what the guide to a first policy quotes is in its files', () => {
  const guide = contentOf(new URL('../docs/first-policy.md', import.meta.url))
  const files = ['first.yaml', 'first.cases.yaml'].map((name) => contentOf(new URL(name, PLACE))).join('\n')
  const quotes = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, quote = '']) => quote.trim())
  expect(quotes.length).toBeGreaterThan(3)
  for (const quote of quotes) expect(files).toContain(quote)
})
