import { afterAll, beforeAll, expect, test } from 'vitest'
import { startService, type TestService } from '../support/service.ts'

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

const page = (path: string) => fetch(`${verdict.url}${path}`)

test('the API is to be read in a browser, without a credential, and with nothing from elsewhere', async () => {
  const html = await (await page('/docs')).text()
  const named = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path = '']) => path)
  expect(named.length).toBeGreaterThan(4)
  for (const path of named) {
    expect(path).toMatch(/^\/docs\/static\/[\w.-]+$/)
    expect((await page(path)).status).toBe(200)
  }
})

test('a page runs the scripts of this origin alone, and stands in no frame', async () => {
  const policy = (await page('/docs')).headers.get('content-security-policy') ?? ''
  expect(policy).toContain("script-src 'self';")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toMatch(/https?:|\*/)
})

test('what is read there is the document of this version', async () => {
  const [read, document] = await Promise.all(
    ['/docs/json', '/openapi.json'].map(async (path) => (await page(path)).json()),
  )
  expect(read).toEqual(document)
})

test('beside its pages there is nothing, and their files lead nowhere else', async () => {
  for (const path of ['/docs/static/..%2f..%2fpackage.json', '/docs/static/%2e%2e/index.js', '/docsx']) {
    expect((await page(path)).status).toBe(404)
  }
})

test('the root is nothing, and says where to read on; of other paths nothing more is told', async () => {
  const told = async (path: string) => {
    const answer = await page(path)
    expect(answer.status).toBe(404)
    const { detail } = (await answer.json()) as { readonly detail: string }
    return detail
  }
  for (const path of ['/', '/?a=b'])
    expect(await told(path)).toBe('there is no such route: the documentation is at /docs')
  expect(await told('/nothing')).toBe('there is no such route')
})
