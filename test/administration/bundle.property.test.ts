import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBundle } from '../../src/administration/bundle.ts'
import { Failure } from '../../src/failure.ts'
import { parseBundleText } from '../../src/http/bundle-reader.ts'
import { type BundleText, JSON_TEXT, TextCollector, YAML_TEXT } from '../../src/http/bundle-text.ts'
import { bundles, partialBundles } from './random-bundle.ts'
import { type Bench, by, openBench, operator } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

let tenants = 0
async function emptyTenant(): Promise<string> {
  const id = `b${tenants++}`
  await bench.administration.tenants.create(operator(), { id, name: id })
  return id
}

const apply = (tenant: string, document: unknown) =>
  bench.administration.bundle.apply(
    by({ tenant, caller: { ...by().caller, tenant } }),
    readBundle(JSON.parse(JSON.stringify(document))),
  )

async function exported(tenant: string, format: BundleText): Promise<string> {
  const text = new TextCollector(format)
  await bench.administration.bundle.export({ tenant }, true, (part) => void [...text.take(part)])
  return text.end().join('')
}

async function roundTrip(document: unknown): Promise<void> {
  const [one, other] = [await emptyTenant(), await emptyTenant()]
  await apply(one, document)
  const json = await exported(one, JSON_TEXT)
  const yaml = await exported(one, YAML_TEXT)
  const read = parseBundleText(Buffer.from(json), 'json')
  expect(parseBundleText(Buffer.from(yaml), 'yaml')).toEqual(read)
  await apply(other, parseBundleText(Buffer.from(yaml), 'yaml'))
  expect(await exported(other, JSON_TEXT)).toBe(json)
  expect(await exported(other, YAML_TEXT)).toBe(yaml)
  const again = await apply(one, read)
  expect(again.body).toMatchObject({ added: 0, changed: 0, removed: 0 })
  expect(again.recorded).toBe(false)
}

test('export, apply to an empty tenant, export again: equal, whatever is in it', async () => {
  await fc.assert(
    fc.asyncProperty(bundles, (bundle) => roundTrip(bundle)),
    { numRuns: 25, seed: 11 },
  )
})

const presets = new URL('../../presets/', import.meta.url)
const names = readdirSync(presets).filter((name) => name.endsWith('.yaml') && !name.endsWith('.cases.yaml'))

test.each(names)('the preset %s makes the round trip', async (name) => {
  await roundTrip(parseBundleText(readFileSync(new URL(name, presets)), 'yaml'))
})

test('what one bundle after another declares is what is there: applied again, the last changes nothing', async () => {
  let applied = 0
  await fc.assert(
    fc.asyncProperty(fc.array(partialBundles, { minLength: 2, maxLength: 4 }), async (sequence) => {
      const tenant = await emptyTenant()
      for (const bundle of sequence) {
        try {
          await apply(tenant, bundle)
          applied++
        } catch (error) {
          if (!(error instanceof Failure) || error.code !== 'unprocessable') throw error
          continue
        }
        const again = await apply(tenant, bundle)
        expect(again.body).toMatchObject({ added: 0, changed: 0, removed: 0 })
        expect(again.recorded).toBe(false)
      }
    }),
    { numRuns: 20, seed: 5 },
  )
  expect(applied).toBeGreaterThan(20)
})
