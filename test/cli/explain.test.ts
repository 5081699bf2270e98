import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { run } from '../../src/cli/program.ts'
import { verdict } from './run.ts'

const QUICKSTART = new URL('../../presets/quickstart.yaml', import.meta.url).pathname

const edit = (subject: string, document: string, more: object = {}) =>
  JSON.stringify({
    subject: { type: 'user', id: subject },
    action: { name: 'document:edit' },
    resource: { type: 'document', id: document },
    ...more,
  })

const explain = (stdin: string, ...more: string[]) =>
  verdict(['check', '-p', QUICKSTART, '-', '--explain', ...more], { stdin })

async function onTerminal(env: NodeJS.ProcessEnv): Promise<string> {
  let stdout = ''
  await run(['check', '-p', QUICKSTART, '-', '--explain'], {
    env,
    stdin: Readable.from([edit('alice', 'budget')]),
    stdout: { write: (text) => (stdout += text), isTTY: true },
    stderr: { write: () => true },
  })
  return stdout
}

describe('verdict check --explain', () => {
  test('prints how a deny came about, as a tree, and ends with the status of the decision', async () => {
    expect(await explain(edit('alice', 'budget'))).toEqual({
      status: 3,
      stderr: '',
      stdout: `deny   no_applicable_rule

roles
├─ editor
│  └─ assigned to user alice (bundle-1)
└─ reader
   ├─ assigned to group staff (bundle-0), by way of user alice → group staff
   └─ inherited from editor

rules about this
└─ allow default/editors-edit-what-they-own  does not apply
   ├─ ✓ subject    role editor
   ├─ ✓ action     document:edit
   ├─ ✓ resource   document
   └─ ✗ condition  resource.properties.owner == subject.id
      ├─ resource.properties.owner = "bob"
      └─ subject.id = "alice"

policies
└─ default (deny_overrides) comes to nothing

what would have allowed it
├─ allow default/editors-edit-what-they-own  but for its condition
│  ├─ ✓ subject    role editor
│  ├─ ✓ action     document:edit
│  ├─ ✓ resource   document
│  └─ ✗ condition  resource.properties.owner == subject.id
│     ├─ resource.properties.owner = "bob"
│     └─ subject.id = "alice"
└─ allow roles/reader (permission 0)  but for its action
   ├─ ✓ subject    role reader
   ├─ ✗ action     document:read
   └─ ✓ resource   document
`,
    })
  })

  test('begins with what check prints without it', async () => {
    const stdin = edit('alice', 'plan-2019')
    const short = await verdict(['check', '-p', QUICKSTART, '-'], { stdin })
    const long = await explain(stdin)
    expect(long.status).toBe(short.status)
    expect(long.stdout.startsWith(short.stdout)).toBe(true)
  })

  test('as JSON, the answer has the shape of the API’s', async () => {
    const { status, stdout } = await explain(edit('alice', 'plan'), '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      decision: true,
      context: { reason: 'allowed_by_rule', rules: ['default/editors-edit-what-they-own'], obligations: [] },
      trace: { roles: [{ role: 'editor' }, { role: 'reader' }], nearest_misses: [], complete: true },
    })
  })

  test('is coloured on a terminal alone, and not there either where NO_COLOR is set', async () => {
    expect(await onTerminal({})).toContain('\u001b[31m✗\u001b[0m')
    const { stdout } = await explain(edit('alice', 'budget'))
    expect(await onTerminal({ NO_COLOR: '1' })).toBe(stdout)
    expect(stdout).not.toContain('\u001b')
  })

  test('nothing in a request steers the terminal', async () => {
    const resource = { type: 'document', id: 'budget', properties: { owner: '\u001b[2J\u009b\u202e' } }
    const { stdout } = await explain(edit('alice', 'budget', { resource }))
    expect(stdout).toContain('\\u{9b}\\u{202e}')
    expect(stdout).not.toMatch(/[^\P{C}\n]/u)
  })
})
