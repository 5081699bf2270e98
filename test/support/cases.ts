import { readdir, readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { type Case, parseCases } from '../../src/policy/cases.ts'
import type { Bundle } from '../../src/policy/model.ts'
import { parseBundle } from '../../src/policy/parse.ts'

export interface Suite {
  readonly name: string
  readonly bundle: Bundle
  readonly cases: readonly Case[]
}

const CASES = new URL('../cases/', import.meta.url)
const PRESETS = new URL('../../presets/', import.meta.url)

/** Every file of cases: our own, and those that stand beside the presets. */
export async function allSuites(): Promise<Suite[]> {
  const own = (await readdir(CASES)).filter((name) => name.endsWith('.yaml')).map((name) => new URL(name, CASES))
  const presets = (await readdir(PRESETS)).filter((name) => name.endsWith('.cases.yaml'))
  return Promise.all([...own, ...presets.map((name) => new URL(name, PRESETS))].map(suiteIn))
}

async function suiteIn(file: URL): Promise<Suite> {
  const name = file.pathname.split('/').at(-1) ?? ''
  const read = parseCases(await readFile(file, 'utf8'))
  if ('problems' in read) throw new Error(`${name}: ${JSON.stringify(read.problems)}`)
  return { name, bundle: await bundleOf(read.policy, file), cases: read.cases }
}

async function bundleOf(policy: string | Bundle | undefined, file: URL): Promise<Bundle> {
  if (typeof policy === 'object') return policy
  const parsed = parseBundle(parse(await readFile(new URL(policy ?? '', file), 'utf8')))
  if ('bundle' in parsed) return parsed.bundle
  throw new Error(`${policy}: ${JSON.stringify(parsed.problems)}`)
}
