// The README's first questions, asked of a server that is just starting: an allow, a deny, and the records of both.
// Arguments: where it answers, and its data directory.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [, , url, dataDir] = process.argv

/** What the work comes to, tried again until `seconds` have passed. */
async function eventually(seconds, work) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(50)
    }
  }
}

const began = Date.now()
await eventually(60, async () => assert.equal((await fetch(`${url}/readyz`)).status, 200))
const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }

async function edit(document) {
  const body = JSON.stringify({
    subject: { type: 'user', id: 'alice' },
    action: { name: 'document:edit' },
    resource: { type: 'document', id: document },
  })
  const answer = await fetch(`${url}/v1/authorize`, { method: 'POST', headers, body })
  assert.equal(answer.status, 200)
  return answer.json()
}

const allow = await edit('plan')
process.stdout.write(`the first answer came ${Date.now() - began} ms after the question was ready to be asked\n`)
const deny = await edit('plan-2019')
assert.deepEqual([allow.decision, allow.context.reason], [true, 'allowed_by_rule'])
assert.deepEqual([deny.decision, deny.context.reason], [false, 'denied_by_rule'])

await eventually(10, async () => {
  const answer = await fetch(`${url}/v1/audit?type=decision&subject_id=alice`, { headers })
  const { items } = await answer.json()
  assert.deepEqual(
    items.map(({ id, decision }) => [id, decision]),
    [deny, allow].map(({ decision, context }) => [context.decision_id, decision]),
  )
})
