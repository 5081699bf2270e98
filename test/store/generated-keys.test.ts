import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseApiKey } from '../../src/authn/api-key.ts'
import { generatedKeys } from '../../src/store/generated-keys.ts'

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'verdict-keys-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

test('what is not given is made, for us alone to read, and found again by the next start', async () => {
  const path = await directory()
  const first = await generatedKeys(path, {})
  expect(parseApiKey(first.rootKey)).toBeDefined()
  expect(parseApiKey(first.adminKey ?? '')).toBeDefined()
  expect(first.masterKey).toHaveLength(32)
  expect(first.made.map(({ name }) => name)).toEqual(['root', 'admin', 'master'])
  for (const { file } of first.made) expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await generatedKeys(path, {})).toEqual({ ...first, made: [] })
})

test('what is given is used, and leaves no file', async () => {
  const path = await directory()
  const given = { rootKey: 'vdt_root_r', masterKey: Buffer.alloc(32, 7) }
  const keys = await generatedKeys(path, given)
  expect(keys).toMatchObject(given)
  expect(keys.made.map(({ name }) => name)).toEqual(['admin'])
})

test('a damaged master key is refused, never made anew', async () => {
  const path = await directory()
  await writeFile(join(path, 'master.key'), 'short')
  await expect(generatedKeys(path, {})).rejects.toMatchObject({ code: 'unsafe_configuration' })
})
