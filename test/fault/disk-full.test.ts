import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { eventually, startService } from '../support/service.ts'

// A disk that is really full: a small file system in memory, which only root can mount. Elsewhere this is skipped;
// the same with injected faults is in test/audit/journal.test.ts.

const disk = mkdtempSync(join(tmpdir(), 'verdict-disk-'))
const isMounted = mounted()

afterAll(async () => {
  if (isMounted) execFileSync('umount', [disk])
  await rm(disk, { recursive: true, force: true })
})

function mounted(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Leaves no byte free. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  for (const size of [64 * 1024, 4096, 1]) {
    const block = Buffer.alloc(size)
    while (
      await file.write(block).then(
        ({ bytesWritten }) => bytesWritten === size,
        () => false,
      )
    );
  }
  await file.close()
}

test.skipIf(!isMounted)(
  'with a full disk nothing is answered that is not recorded, and it heals without a restart (root only)',
  async () => {
    const verdict = await startService({ env: { VERDICT_DATA_DIR: disk } })
    try {
      const answered: string[] = []
      const ask = async () => {
        const answer = await verdict.ask('POST /v1/authorize', {
          body: {
            subject: { type: 'user', id: 'ann' },
            action: { name: 'read' },
            resource: { type: 'doc', id: '1' },
            context: { text: 'x'.repeat(3000) },
          },
        })
        if (answer.status === 200) answered.push(answer.body.context.decision_id)
        return answer
      }
      expect((await ask()).status).toBe(200)
      const fillers = join(disk, 'fillers')
      await mkdir(fillers)
      let filled = 0
      let refusals = 0
      // A segment that was shipped goes, and what it leaves may hold another record: until nothing is left to ship.
      const refusedOrFilled = async () => {
        await fill(join(fillers, String(filled++)))
        const { status, body } = await ask()
        if (status !== 200) expect(body.type).toBe('urn:verdict:problem:audit_unavailable')
        refusals = status === 503 ? refusals + 1 : 0
        return refusals
      }
      await eventually(refusedOrFilled, (inARow) => inARow === 5)
      const ready = await verdict.ask('GET /readyz', { key: null })
      expect(ready.status).toBe(503)
      expect(ready.body.problems).toContain('audit_unavailable')

      await rm(fillers, { recursive: true })
      await eventually(
        async () => (await verdict.ask('GET /readyz', { key: null })).status,
        (status) => status === 200,
      )
      await eventually(ask, ({ status }) => status === 200)
      const found = await eventually(
        async () => {
          const { body } = await verdict.ask('GET /v1/audit?type=decision&limit=1000')
          return body.items.map(({ id }: { id: string }) => id) as string[]
        },
        (ids) => ids.length >= answered.length,
      )
      expect(new Set(found)).toEqual(new Set(answered))
    } finally {
      await verdict.close()
    }
  },
)
