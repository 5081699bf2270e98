import { expect, test } from 'vitest'
import { REASONS } from '../../src/policy/model.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'

async function lines(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.text()
  return text.split('\n').filter((line) => line.startsWith(name))
}

test('decisions are counted by outcome and reason, and every reason is there from the start', async () => {
  const metrics = new Metrics()
  metrics.decided('allowed_by_rule')
  metrics.decided('allowed_by_rule')
  metrics.decided('denied_by_rule')
  const counters = await lines(metrics, 'verdict_decisions_total')
  expect(counters).toHaveLength(REASONS.length)
  expect(counters).toContain('verdict_decisions_total{decision="true",reason="allowed_by_rule"} 2')
  expect(counters).toContain('verdict_decisions_total{decision="false",reason="denied_by_rule"} 1')
  expect(counters).toContain('verdict_decisions_total{decision="false",reason="no_applicable_rule"} 0')
})

test('requests are timed by route and class of status', async () => {
  const metrics = new Metrics()
  const observe = metrics.route('/v1/rules/:name')
  observe(200, 0.003)
  observe(204, 0.003)
  observe(404, 0.003)
  const counts = await lines(metrics, 'verdict_request_seconds_count')
  expect(counts).toContain('verdict_request_seconds_count{route="/v1/rules/:name",status="2xx"} 2')
  expect(counts).toContain('verdict_request_seconds_count{route="/v1/rules/:name",status="4xx"} 1')
})

test('two methods of one route are counted together', async () => {
  const metrics = new Metrics()
  metrics.route('/v1/rules/:name')(200, 0.003)
  metrics.route('/v1/rules/:name')(200, 20)
  expect(await lines(metrics, 'verdict_request_seconds')).toEqual([
    ...[0.0002, 0.0005, 0.001, 0.002].map((le) => bucket(String(le), 0)),
    ...[0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 2.5, 10].map((le) => bucket(String(le), 1)),
    bucket('+Inf', 2),
    'verdict_request_seconds_sum{route="/v1/rules/:name",status="2xx"} 20.003',
    'verdict_request_seconds_count{route="/v1/rules/:name",status="2xx"} 2',
  ])
})

function bucket(le: string, count: number): string {
  return `verdict_request_seconds_bucket{le="${le}",route="/v1/rules/:name",status="2xx"} ${count}`
}

test('a status outside the five classes is no failure', () => {
  expect(() => new Metrics().route('/livez')(0, 0.1)).not.toThrow()
})

test('the time to decide and the wait for the record are two histograms', async () => {
  const metrics = new Metrics()
  metrics.decideSeconds(3e-6)
  metrics.auditAppendSeconds(4e-4)
  expect(await lines(metrics, 'verdict_decide_seconds_count')).toEqual(['verdict_decide_seconds_count 1'])
  expect(await lines(metrics, 'verdict_decide_seconds_bucket{le="0.000005"}')).toHaveLength(1)
  expect(await lines(metrics, 'verdict_audit_append_seconds_count')).toEqual(['verdict_audit_append_seconds_count 1'])
})

test('a number that another part owns is read when the metrics are', async () => {
  const metrics = new Metrics()
  let entities = 7
  metrics.observe('verdict_entities_cached', () => entities)
  metrics.observe('verdict_entity_cache_hits_total', () => entities)
  expect(await lines(metrics, 'verdict_entit')).toEqual([
    'verdict_entities_cached 7',
    'verdict_entity_cache_hits_total 7',
  ])
  entities = 9
  expect(await lines(metrics, 'verdict_entit')).toEqual([
    'verdict_entities_cached 9',
    'verdict_entity_cache_hits_total 9',
  ])
})

test('the delay of the event loop and the process itself are measured', async () => {
  const text = await new Metrics().text()
  expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
  expect(text).toContain('process_resident_memory_bytes')
})

test('two registries in one process do not meet', async () => {
  const [one, other] = [new Metrics(), new Metrics()]
  one.decided('allowed_by_rule')
  expect(await lines(other, 'verdict_decisions_total{decision="true"')).toEqual([
    'verdict_decisions_total{decision="true",reason="allowed_by_rule"} 0',
  ])
})
