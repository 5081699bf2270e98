import { describe, expect, test } from 'vitest'
import { runCase } from '../../src/policy/cases.ts'
import { loadBundle } from '../../src/policy/in-memory.ts'
import { allSuites } from '../support/cases.ts'

// The same files are asked over HTTP in ../http/cases.test.ts.
describe.each((await allSuites()).map((suite) => [suite.name, suite] as const))('%s', (_name, { bundle, cases }) => {
  const loaded = loadBundle(bundle)

  test('has nothing in it that could not be compiled', () => {
    expect(loaded.index.quarantined).toBe(0)
  })

  test.each(cases.map((one) => [one.name, one] as const))('%s', (_title, one) => {
    expect(runCase(loaded, one).differences).toEqual([])
  })
})
