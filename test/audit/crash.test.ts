import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recoverSegments } from '../../src/audit/segments.ts'
import { temporaryDirectory, textsOf } from './support.ts'

const APPENDER = join(import.meta.dirname, 'appender.js')
const PROGRAM = join(import.meta.dirname, '../../dist')

interface Confirmed {
  readonly seq: number
  readonly tenant: string
  readonly n: number
}

/** Lets a process append until it has confirmed `count` records, kills it, and gives back all that it had confirmed. */
async function killAfter(count: number, root: string): Promise<Confirmed[]> {
  const child = spawn(process.execPath, [APPENDER, root, PROGRAM], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.split('\n').length > count) child.kill('SIGKILL')
  })
  await once(child, 'close')
  const lines = output.slice(0, output.lastIndexOf('\n')).split('\n')
  return lines.map((line) => {
    const [seq, tenant, n] = JSON.parse(line)
    return { seq, tenant, n }
  })
}

test('every record that was confirmed before a kill -9 is recovered, once, without a gap', async () => {
  for (const count of [1, 50, 400, 1000, 3000]) {
    const root = await temporaryDirectory()
    const confirmed = await killAfter(count, root)
    expect(confirmed.length).toBeGreaterThanOrEqual(count)
    const [writer = ''] = await readdir(root)
    const { segments, damages } = await recoverSegments(join(root, writer))
    expect(damages).toEqual([])
    const records = (await textsOf(segments, 0, 1000, 1_000_000)).map((text) => JSON.parse(text))
    for (const { seq, tenant, n } of confirmed) {
      expect(records[seq]).toMatchObject({ tenant, n, tenant_seq: n + 1 })
    }
    const counts = new Map<string, number>()
    for (const { tenant, tenant_seq } of records) {
      expect(tenant_seq).toBe((counts.get(tenant) ?? 0) + 1)
      counts.set(tenant, tenant_seq)
    }
  }
})
