import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig, readMigrateConfig, VARIABLES } from '../../src/config.ts'
import { ROUTES } from '../../src/contract/routes.ts'
import { newKey } from '../support/service.ts'
import { DEPLOY, type Document, documents, hasTool, run } from './support.ts'

const FOLDER = new URL('kustomize/', DEPLOY)
const FILES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'))
const KUSTOMIZATIONS = FILES.filter((file) => file.endsWith('kustomization.yaml'))

const inFile = (file: string) => documents(`kustomize/${file}`)
const [statefulSet] = inFile('base/statefulset.yaml')
const [job] = inFile('migrate/job.yaml')
const services = inFile('base/services.yaml')
const [budget] = inFile('base/disruption-budget.yaml')
const [autoscaler] = inFile('base/autoscaler.yaml')
const [policy] = inFile('base/network-policy.yaml')
const [account] = inFile('base/service-account.yaml')
const [monitor] = inFile('monitoring/service-monitor.yaml')
const pod = statefulSet.spec.template
const [container] = pod.spec.containers

/** What the base gives every replica that is no secret. */
function settings(): Record<string, string> {
  const [{ configMapGenerator }] = inFile('base/kustomization.yaml')
  const literals: string[] = configMapGenerator.flatMap((generator: Document) => generator.literals)
  return Object.fromEntries(literals.map((literal) => literal.split(/=(.*)/s).slice(0, 2)))
}

let secrets: string
beforeAll(() => {
  secrets = mkdtempSync(join(tmpdir(), 'verdict-secrets-'))
  const texts = {
    database_url: 'postgres://verdict:a@postgres:5432/verdict',
    migrate_database_url: 'postgres://owner:b@postgres:5432/verdict',
    root_key: newKey(),
    master_key: randomBytes(32).toString('base64'),
  }
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(secrets, name), text)
})
afterAll(() => rm(secrets, { recursive: true }))

/** The variables of a container, its secrets in files of this machine. */
function environment({ env }: Document): Record<string, string> {
  return Object.fromEntries(
    env.map(({ name, value }: { name: string; value: string }) => [
      name,
      value.replace('/run/secrets/verdict', secrets),
    ]),
  )
}

describe('every kustomization', () => {
  test.each(KUSTOMIZATIONS)('%s names what is there', (file) => {
    const [{ resources = [], components = [] }] = inFile(file)
    for (const name of [...resources, ...components]) {
      const path = join(dirname(file), name)
      expect(name.endsWith('.yaml') ? FILES : KUSTOMIZATIONS.map(dirname)).toContain(path)
    }
  })

  test('together they use every file', () => {
    const named = KUSTOMIZATIONS.flatMap((file) =>
      inFile(file)[0].resources.map((name: string) => join(dirname(file), name)),
    )
    expect(FILES.filter((file) => !KUSTOMIZATIONS.includes(file) && !named.includes(file))).toEqual([])
  })
})

describe('the configuration', () => {
  test('of a replica is one that Verdict starts with', () => {
    const config = readConfig({ ...settings(), ...environment(container) })
    expect(config).toMatchObject({ host: '0.0.0.0', port: container.ports[0].containerPort })
    expect(config.dataDir).toBe(container.volumeMounts.find(({ name }: Document) => name === 'data').mountPath)
  })

  test('of the example is one that Verdict starts with', () => {
    const [{ configMapGenerator, patches }] = inFile('example/kustomization.yaml')
    const own = Object.fromEntries(configMapGenerator[0].literals.map((literal: string) => literal.split('=')))
    const added = [...patches[0].patch.matchAll(/name: ([A-Z_]+)/g)].map(([, name]) => name)
    expect(VARIABLES.map(({ name }) => `${name}_FILE`)).toEqual(expect.arrayContaining(added))
    expect(readConfig({ ...settings(), ...own, ...environment(container) }).publicUrl).toMatch(/^https:/)
  })

  test('of the migration is one that it takes, with two roles', () => {
    const config = readMigrateConfig(environment(job.spec.template.spec.containers[0]))
    expect(config.databaseUrl).not.toBe(config.migrateDatabaseUrl)
  })

  test('holds no secret but in a file, and only the migration the password of the owner', () => {
    const isSecret = new Set(
      VARIABLES.filter((variable) => 'secret' in variable && variable.secret).map(({ name }) => String(name)),
    )
    const given = [...Object.keys(settings()), ...container.env.map(({ name }: Document) => name)]
    expect(given.filter((name) => isSecret.has(name))).toEqual([])
    expect(JSON.stringify(pod)).not.toContain('migrate_database_url')
  })
})

describe.each([
  ['replica', pod.spec],
  ['migration', job.spec.template.spec],
])('the pod of a %s', (_what, spec) => {
  const [one] = spec.containers

  test('is no root, writes nowhere but on its volumes, and may do nothing else', () => {
    const [, user = ''] = /^USER (\d+):\d+$/m.exec(readFileSync(new URL('../Dockerfile', DEPLOY), 'utf8')) ?? []
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: Number(user),
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(one.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect([spec.automountServiceAccountToken, spec.enableServiceLinks]).toEqual([false, false])
  })

  test('has each volume that it mounts, and each file of a secret that a variable names', () => {
    const claims = spec === pod.spec ? statefulSet.spec.volumeClaimTemplates : []
    const volumes = [...spec.volumes.map(({ name }: Document) => name), ...claims.map((c: Document) => c.metadata.name)]
    expect(one.volumeMounts.map(({ name }: Document) => name).sort()).toEqual([...volumes].sort())
    const { secret, projected } = spec.volumes.find(({ name }: Document) => name === 'secrets')
    const items = projected?.sources.flatMap((source: Document) => source.secret.items) ?? secret.items
    const { mountPath } = one.volumeMounts.find(({ name }: Document) => name === 'secrets')
    const files = one.env.filter(({ name }: Document) => name.endsWith('_FILE')).map(({ value }: Document) => value)
    expect(items.map(({ path }: Document) => `${mountPath}/${path}`).sort()).toEqual([...files].sort())
    // The group of the pod reads them, and nobody else.
    expect((secret ?? projected).defaultMode).toBe(0o440)
  })
})

test('each probe asks a route that anybody may ask, and only readiness asks more than that the process answers', () => {
  const asked = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => container[name].httpGet.path)
  expect(asked).toEqual(['/livez', '/livez', '/readyz'])
  for (const path of [...asked, monitor.spec.endpoints[0].path]) {
    expect(ROUTES.find(({ url }) => url === path)?.config.permission).toBe('anyone')
  }
})

test('a stop has the time that Verdict takes for it, the drain delay included, before it is killed', () => {
  const { drainDelayMs } = readConfig({ ...settings(), ...environment(container) })
  const { periodSeconds, failureThreshold, timeoutSeconds } = container.readinessProbe
  expect(drainDelayMs / 1000).toBeGreaterThanOrEqual(periodSeconds * (failureThreshold - 1) + timeoutSeconds)
  expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(10)
})

test('every selector matches the pods, and every name leads to what is there', () => {
  const labels = pod.metadata.labels
  const selectors = [
    statefulSet.spec.selector.matchLabels,
    budget.spec.selector.matchLabels,
    policy.spec.podSelector.matchLabels,
    ...services.map(({ spec }) => spec.selector),
    ...pod.spec.topologySpreadConstraints.map(({ labelSelector }: Document) => labelSelector.matchLabels),
  ]
  for (const selector of selectors) {
    expect(Object.keys(selector)).not.toEqual([])
    expect(labels).toMatchObject(selector)
  }
  // The migration's pod answers nobody: no service may send it a question.
  for (const { spec } of services) expect(job.spec.template.metadata.labels).not.toMatchObject(spec.selector)
  expect(services.map(({ metadata }) => metadata.name)).toContain(statefulSet.spec.serviceName)
  expect(pod.spec.serviceAccountName).toBe(account.metadata.name)
  expect(autoscaler.spec.scaleTargetRef).toEqual({
    apiVersion: statefulSet.apiVersion,
    kind: statefulSet.kind,
    name: statefulSet.metadata.name,
  })
  expect(statefulSet.spec.replicas).toBeUndefined()
  const ports = container.ports.map(({ name }: Document) => name)
  for (const { spec } of services) expect(ports).toContain(spec.ports[0].targetPort)
  const probed = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => container[name].httpGet.port)
  expect(new Set(probed)).toEqual(new Set(ports))
  for (const { ports: open } of policy.spec.ingress) expect(open).toEqual([{ protocol: 'TCP', port: ports[0] }])
})

test('each replica is scraped once, by a service that names all of them', () => {
  const { selector, endpoints } = monitor.spec
  const scraped = services.filter(({ metadata }) =>
    Object.entries(selector.matchLabels).every(([name, value]) => metadata.labels[name] === value),
  )
  expect(scraped.map(({ spec }) => [spec.clusterIP, spec.publishNotReadyAddresses])).toEqual([['None', true]])
  expect(scraped[0].spec.ports.map(({ name }: Document) => name)).toContain(endpoints[0].port)
})

test('there are two replicas at least, of which one may go at a time, and their volumes stay', () => {
  expect(autoscaler.spec.minReplicas).toBeGreaterThanOrEqual(2)
  expect(budget.spec.maxUnavailable).toBe(1)
  expect(statefulSet.spec.persistentVolumeClaimRetentionPolicy).toEqual({ whenDeleted: 'Retain', whenScaled: 'Retain' })
})

test('a volume has room for two full journals', () => {
  const { journalMaxBytes } = readConfig({ ...settings(), ...environment(container) })
  const [, gib] = /^(\d+)Gi$/.exec(statefulSet.spec.volumeClaimTemplates[0].spec.resources.requests.storage) ?? []
  expect(Number(gib) * 1024 ** 3).toBeGreaterThanOrEqual(2 * journalMaxBytes)
})

// Where the tools are: `kubectl`, and `kubernetes-validate` (from PyPI), which brings the schemas along.
const isBuilt = hasTool('kubectl', 'kustomize', '--help')
const WHOLE = KUSTOMIZATIONS.map(dirname).filter((folder) => folder !== 'monitoring')

describe.skipIf(!isBuilt)('kubectl kustomize', () => {
  test.each(WHOLE)('builds %s', (folder) => {
    const built = run('kubectl', ['kustomize', new URL(folder, FOLDER).pathname])
    expect(built).toMatch(/^kind: (StatefulSet|Job)$/m)
    expect(built).not.toMatch(/namespace: default/)
  })

  test.skipIf(!hasTool('kubernetes-validate', '--version')).each(WHOLE)(
    '%s fits the schemas of Kubernetes',
    (folder) => {
      const file = join(secrets, `${folder.replaceAll('/', '-')}.yaml`)
      writeFileSync(file, run('kubectl', ['kustomize', new URL(folder, FOLDER).pathname]))
      expect(run('kubernetes-validate', ['--strict', file])).toContain('passed')
    },
  )
})
