import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { ROUTES } from '../../src/contract/routes.ts'
import { REASONS } from '../../src/policy/model.ts'
import { startService, type TestService } from '../support/service.ts'
import { DEPLOY, type Document, documents, hasTool, run } from './support.ts'

const [{ groups }] = documents('prometheus/verdict.rules.yaml')
const rules: readonly Document[] = groups.flatMap((group: Document) => group.rules)
const dashboard: Document = JSON.parse(readFileSync(new URL('grafana/verdict.json', DEPLOY), 'utf8'))
const panels: readonly Document[] = dashboard.panels
const shown = panels.filter(({ type }) => type !== 'row')

const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr]),
  ...shown.flatMap(({ title, targets }) => targets.map(({ expr }: Document) => [title, expr])),
] as readonly [string, string][]

/** What a running service shows: the labels of each metric, by its name. */
let told: ReadonlyMap<string, ReadonlySet<string>>
let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
  const question = { subject: { type: 'u', id: 'a' }, action: { name: 'x' }, resource: { type: 'r', id: '1' } }
  await verdict.ask('POST /v1/authorize', { body: question })
  told = metricsIn((await verdict.ask('GET /metrics', { key: null })).body)
})
afterAll(() => verdict.close())

function metricsIn(text: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = found.get(name) ?? new Set()
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
    found.set(name, known)
  }
  return found
}

interface Selected {
  readonly name: string
  readonly matchers: readonly { readonly label: string; readonly by: string; readonly value: string }[]
}

/** Each metric that an expression selects, always with labels: without them, other services would be meant too. */
function selectedIn(expression: string): readonly Selected[] {
  const selected = [...expression.matchAll(/(\w+)\{([^}]*)\}/g)].map(([, name = '', inner = '']) => ({
    name,
    matchers: [...inner.matchAll(/(\w+)(=~|=)"([^"]*)"/g)].map(([, label = '', by = '', value = '']) => ({
      label,
      by,
      value,
    })),
  }))
  expect(selected.length).toBeGreaterThan(0)
  const words = expression.match(/\b(?:verdict|process|nodejs)_\w+/g) ?? []
  expect(words.filter((word) => !selected.some(({ name }) => name === word))).toEqual([])
  return selected
}

describe.each(expressions)('%s: %s', (_title, expression) => {
  test('asks for metrics and labels that Verdict has', () => {
    for (const { name, matchers } of selectedIn(expression)) {
      const own = name === 'up' ? new Set<string>() : told.get(name)
      expect([name, own]).not.toEqual([name, undefined])
      for (const { label } of matchers) expect([...(own ?? []), 'job', 'instance']).toContain(label)
      expect(matchers.map(({ label }) => label)).toContain('job')
    }
    const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, inner = '']) => inner.split(/, */))
    const labels = selectedIn(expression).flatMap(({ name }) => [...(told.get(name) ?? []), 'instance'])
    expect(labels).toEqual(expect.arrayContaining(grouped))
  })

  test('asks for values that they can have', () => {
    const values = {
      reason: REASONS,
      status: ['1xx', '2xx', '3xx', '4xx', '5xx'],
      route: ROUTES.map(({ url }) => url),
    } as const
    for (const { label, by, value } of selectedIn(expression).flatMap(({ matchers }) => matchers)) {
      if (!Object.hasOwn(values, label)) continue
      const known: readonly string[] = values[label as keyof typeof values]
      const pattern = new RegExp(`^(?:${by === '=' ? value.replaceAll('.', '\\.') : value})$`)
      expect(known.some((one) => pattern.test(one))).toBe(true)
    }
  })
})

test('every metric of its own that Verdict has is on the dashboard', () => {
  const seen = new Set(
    shown.flatMap(({ targets }) => targets.flatMap(({ expr }: Document) => expr.match(/verdict_\w+/g))),
  )
  const families = [...told.keys()].filter((name) => /^verdict_/.test(name) && !/_(sum|count)$/.test(name))
  expect(families.filter((name) => !seen.has(name))).toEqual([])
})

test('each alert says how bad it is, what is seen, and what to do', () => {
  for (const { alert, labels, annotations } of rules) {
    expect([alert, labels.severity]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)])
    expect(Object.keys(annotations).sort()).toEqual(['description', 'summary'])
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
})

test('each alert is seen to fire in a test of its own', () => {
  const [{ tests }] = documents('prometheus/verdict.rules.test.yaml')
  const cases: readonly Document[] = tests.flatMap((one: Document) => one.alert_rule_test)
  const fired = cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname)
  expect([...new Set(fired)].sort()).toEqual(rules.map(({ alert }) => alert).sort())
})

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's, not ours
const CHOSEN = '${datasource}'

test('panels lie beside each other, each with an id of its own, and ask the data source that is chosen', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const taken = new Set<string>()
  for (const { gridPos, type, targets = [] } of panels) {
    const { x, y, w, h } = gridPos
    expect(x + w).toBeLessThanOrEqual(24)
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        expect(taken).not.toContain(`${row}/${column}`)
        taken.add(`${row}/${column}`)
      }
    }
    if (type === 'row') continue
    const refs = targets.map(({ refId }: Document) => refId)
    expect(new Set(refs).size).toBe(refs.length)
    for (const { datasource } of targets) expect(datasource).toEqual({ type: 'prometheus', uid: CHOSEN })
  }
  const variables = dashboard.templating.list.map(({ name }: Document) => name)
  expect(variables).toEqual(['datasource', 'job', 'instance'])
})

// Where Prometheus's own tool is.
describe.skipIf(!hasTool('promtool', '--version'))('promtool', () => {
  const file = (name: string) => new URL(`prometheus/${name}`, DEPLOY).pathname

  test('takes the rules', () => {
    expect(run('promtool', ['check', 'rules', file('verdict.rules.yaml')])).toContain(`${rules.length} rules found`)
  })

  test('sees the alerts fire, and stay silent, as they should', () => {
    expect(run('promtool', ['test', 'rules', file('verdict.rules.test.yaml')])).toContain('SUCCESS')
  })

  test('takes every expression of the dashboard', () => {
    const asked = shown.flatMap(({ targets }) => targets.map(({ expr }: Document) => expr))
    const plain = asked.map((expr) => expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(job|instance)/g, '.*'))
    const recorded = plain.map((expr, at) => ({ record: `panel:${at}`, expr }))
    const input = stringify({ groups: [{ name: 'dashboard', rules: recorded }] })
    const folder = mkdtempSync(join(tmpdir(), 'verdict-dashboard-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'panels.yaml'), input)
    expect(run('promtool', ['check', 'rules', join(folder, 'panels.yaml')])).toContain(`${recorded.length} rules found`)
  })
})
