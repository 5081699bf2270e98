import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Decision } from '../../src/policy/model.ts'
import { parseBundle, parseRequest } from '../../src/policy/parse.ts'

/**
 * Decisions as data, in the format that users write: a policy, inline or by its path from the file, and questions with
 * what is wanted of the answer. What `want` does not name is not looked at.
 */
interface Cases {
  readonly policy: unknown
  readonly cases: readonly Case[]
}

interface Case {
  readonly name: string
  readonly request: unknown
  readonly now?: string
  readonly want: Partial<Decision>
}

const FOLDERS = [new URL('../cases/', import.meta.url), new URL('../../presets/', import.meta.url)]

const files: URL[] = []
for (const folder of FOLDERS) {
  const names = await readdir(folder)
  for (const name of names) {
    if (folder === FOLDERS[0] ? name.endsWith('.yaml') : name.endsWith('.cases.yaml')) files.push(new URL(name, folder))
  }
}

describe.each(files.map((file) => [file.pathname.split('/').at(-1), file] as const))('%s', async (_name, file) => {
  const { policy, cases }: Cases = parse(await readFile(file, 'utf8'))
  const { index, lookup } = loadBundle(await bundleOf(policy, file))

  test('has nothing in it that could not be compiled', () => {
    expect(index.quarantined).toBe(0)
  })

  test.each(cases.map((one) => [one.name, one] as const))(
    '%s',
    (_title, { request, now = '2030-01-01T00:00:00Z', want }) => {
      const asked = requestOf(request)
      expect(decide(index, factsFor(lookup, asked), asked, Date.parse(now))).toMatchObject(want)
    },
  )
})

async function bundleOf(policy: unknown, file: URL): Promise<Bundle> {
  const document = typeof policy === 'string' ? parse(await readFile(new URL(policy, file), 'utf8')) : policy
  const parsed = parseBundle(document)
  if ('bundle' in parsed) return parsed.bundle
  throw new Error(`${file.pathname}: ${JSON.stringify(parsed.problems)}`)
}

function requestOf(request: unknown): AccessRequest {
  const parsed = parseRequest(request)
  if ('request' in parsed) return parsed.request
  throw new Error(JSON.stringify(parsed.problems))
}
