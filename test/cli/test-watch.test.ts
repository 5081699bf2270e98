import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stampOf } from '../../src/cli/test/reading.ts'
import { rerun } from '../../src/cli/test/watch.ts'
import { eventually } from '../support/service.ts'

// `npm test` has built it.
const MAIN = new URL('../../dist/main.js', import.meta.url).pathname
const ALLOW =
  'verdict: 1\nrules: [{name: r, effect: allow, subjects: [{any: true}], actions: [a], resources: [{type: d}]}]\n'
const DENY = ALLOW.replace('effect: allow', 'effect: deny')
const CASES = `policy: policy.yaml
cases:
  - {name: n, request: {subject: {type: user, id: u}, action: {name: a}, resource: {type: d, id: x}}, want: {decision: true}}
`

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verdict-watch-'))
})
afterAll(() => rm(folder, { recursive: true }))

const path = (name: string) => join(folder, name)

interface Watching {
  readonly child: ChildProcess
  /** Waits for one more run, and gives its report. */
  next(): Promise<{ passed: number; failed: number; errors: number }>
  output(): string
}

function watching(...options: string[]): Watching {
  const child = spawn(process.execPath, [MAIN, 'test', folder, '--watch', ...options], {
    env: { PATH: process.env['PATH'] },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  let runs = 0
  return {
    child,
    output: () => output,
    async next() {
      runs++
      const lines = await eventually(
        async () => output.trimEnd().split('\n'),
        (all) => all.length >= runs && (all[runs - 1] ?? '').endsWith('}'),
        20_000,
      )
      return JSON.parse(lines[runs - 1] ?? '')
    },
  }
}

async function stopped({ child }: Watching, signal: NodeJS.Signals): Promise<unknown> {
  const ended = once(child, 'exit')
  child.kill(signal)
  return (await ended)[0]
}

test('a watch runs again after each change of a policy or of the cases that there are, and ends with the last status', async () => {
  await writeFile(path('policy.yaml'), ALLOW)
  await writeFile(path('a.cases.yaml'), CASES)
  const watch = watching('--json')
  expect(await watch.next()).toMatchObject({ passed: 1, failed: 0 })

  await writeFile(path('policy.yaml'), DENY)
  expect(await watch.next()).toMatchObject({ passed: 0, failed: 1 })

  // As editors write: beside it, and renamed into its place.
  await writeFile(path('policy.yaml~'), ALLOW)
  await rename(path('policy.yaml~'), path('policy.yaml'))
  expect(await watch.next()).toMatchObject({ passed: 1, failed: 0 })

  await writeFile(path('a.cases.yaml'), CASES.replace('true}', 'false}'))
  expect(await watch.next()).toMatchObject({ passed: 0, failed: 1 })

  await writeFile(path('b.cases.yaml'), CASES)
  expect(await watch.next()).toMatchObject({ passed: 1, failed: 1 })

  await rm(path('policy.yaml'))
  expect(await watch.next()).toMatchObject({ errors: 2 })

  await writeFile(path('policy.yaml'), DENY)
  expect(await watch.next()).toMatchObject({ passed: 1, failed: 1, errors: 0 })

  expect(await stopped(watch, 'SIGINT')).toBe(1)
  await rm(path('b.cases.yaml'))
})

test('a watch survives that there is nothing to test, clears no screen that is none, and ends with 0 when all passes', async () => {
  await writeFile(path('policy.yaml'), ALLOW)
  await writeFile(path('a.cases.yaml'), CASES)
  const watch = watching()
  const said = (text: string) =>
    eventually(
      async () => watch.output(),
      (output) => output.includes(text),
      20_000,
    )
  await said('1 of 1 case passed')
  await rm(path('a.cases.yaml'))
  await said('nothing was tested: no file of cases')
  await writeFile(path('a.cases.yaml'), CASES)
  await eventually(
    async () => watch.output().match(/1 of 1 case passed/g)?.length,
    (count) => count === 2,
    20_000,
  )
  expect(await stopped(watch, 'SIGTERM')).toBe(0)
  expect(watch.output()).not.toContain('\u001b')
})

test('many writes at once are one change, and what nobody reads is none', async () => {
  const watched = path('watched')
  await writeFile(watched, '0')
  // How many runs there were at each look.
  const runs: number[] = []
  let done = 0
  const work = async () => {
    done++
    return new Map([[watched, await stampOf(watched)]])
  }
  // Instead of time, what happens in it: writes between any two looks, then none, then one that nobody reads.
  const wait = async () => {
    runs.push(done)
    if (runs.length <= 20) await writeFile(watched, 'x'.repeat(1 + runs.length))
    if (runs.length === 25) await writeFile(path('unwatched'), '1')
    return runs.length < 30
  }
  await rerun(work, async () => [watched], new AbortController().signal, wait)
  expect(runs.slice(0, 21)).toEqual(Array(21).fill(1))
  expect(runs.slice(21)).toEqual(Array(9).fill(2))
})

test('a change during a run is seen by the next', async () => {
  const watched = path('during')
  await writeFile(watched, '0')
  const stop = new AbortController()
  let runs = 0
  const work = async () => {
    const stamps = new Map([[watched, await stampOf(watched)]])
    if (++runs === 1) await writeFile(watched, 'written after it was read')
    return stamps
  }
  const over = rerun(work, async () => [watched], stop.signal)
  await eventually(
    async () => runs,
    (count) => count === 2,
  )
  await pause(500)
  expect(runs).toBe(2)
  stop.abort()
  await over
})

test('a change right after a run that came to nothing is seen by the next', async () => {
  const stop = new AbortController()
  let files: string[] = []
  let runs = 0
  const work = async () => {
    if (++runs > 1) return new Map()
    await writeFile(path('late'), '1')
    files = [path('late')]
    return undefined
  }
  const over = rerun(work, async () => files, stop.signal)
  await eventually(
    async () => runs,
    (count) => count > 1,
  )
  stop.abort()
  await over
})
