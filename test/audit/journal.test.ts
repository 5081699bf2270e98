import { constants } from 'node:fs'
import { open, readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { SegmentFile } from '../../src/audit/disk.ts'
import { Journal } from '../../src/audit/journal.ts'
import { recoverSegments } from '../../src/audit/segments.ts'
import { temporaryDirectory, textsOf } from './support.ts'

const unavailable = expect.objectContaining({ code: 'audit_unavailable' })

test('gives records back as they were appended, in order, with a count for each tenant', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'batch' })
  const seqs = await Promise.all([
    journal.append('a', '{"n":1}'),
    journal.append('b', '{"n":2,"text":"häßlich 🐍"}'),
    journal.append('a', '{"n":3}'),
  ])
  expect(seqs).toEqual([0, 1, 2])
  expect(await journal.append('b', '{"n":4}')).toBe(3)
  expect(journal.confirmed).toBe(4)
  expect(await textsOf(journal)).toEqual([
    '{"n":1,"tenant_seq":1}',
    '{"n":2,"text":"häßlich 🐍","tenant_seq":1}',
    '{"n":3,"tenant_seq":2}',
    '{"n":4,"tenant_seq":2}',
  ])
  await journal.close()
})

test('reads from any record on, in batches of any size, across files', async () => {
  const root = await temporaryDirectory()
  const journal = await Journal.open({ root, fsync: 'off', segmentBytes: 500 })
  const wanted: string[] = []
  for (let n = 0; n < 60; n++) {
    await journal.append('a', `{"n":${n},"pad":"${'x'.repeat((n * 37) % 300)}"}`)
    wanted.push(`{"n":${n},"pad":"${'x'.repeat((n * 37) % 300)}","tenant_seq":${n + 1}}`)
  }
  expect((await readdir(join(root, journal.writer))).length).toBeGreaterThan(5)
  for (const from of [0, 1, 17, 59, 60, 30, 3]) {
    expect(await textsOf(journal, from, 7, 100)).toEqual(wanted.slice(from))
    expect(await textsOf(journal, from, 1, 1)).toEqual(wanted.slice(from))
    expect(await textsOf(journal, from)).toEqual(wanted.slice(from))
  }
  await journal.close()
})

test('writes and syncs what came in one turn of the event loop once', async () => {
  const calls: string[] = []
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'batch', openFile: counting(calls) })
  await Promise.all(Array.from({ length: 50 }, (_, n) => journal.append('a', `{"n":${n}}`)))
  expect(calls).toEqual(['write', 'sync'])
  const first = journal.append('a', '{"n":50}')
  await new Promise((resolve) => setImmediate(resolve))
  const later = Array.from({ length: 20 }, (_, n) => journal.append('a', `{"n":${51 + n}}`))
  await Promise.all([first, ...later])
  expect(calls).toEqual(['write', 'sync', 'write', 'sync', 'write', 'sync'])
  await journal.close()
})

test('keeps several records as one, in order, or none of them', async () => {
  const calls: string[] = []
  const journal = await Journal.open({
    root: await temporaryDirectory(),
    fsync: 'batch',
    maxBytes: 4000,
    openFile: counting(calls),
  })
  const kept = await Promise.all([
    journal.append('a', '{"n":0}'),
    journal.appendAll('a', ['{"n":1}', '{"n":2,"text":"häßlich"}', '{"n":3}']),
    journal.appendAll('b', ['{"n":4}']),
  ])
  expect(kept).toEqual([0, 1, 4])
  expect(await journal.append('a', '{"n":5}')).toBe(5)
  await expect(journal.appendAll('a', ['{"n":6}', JSON.stringify({ text: 'x'.repeat(5000) })])).rejects.toThrow(
    unavailable,
  )
  expect(await journal.append('a', '{"n":7}')).toBe(6)
  expect(await textsOf(journal)).toEqual([
    '{"n":0,"tenant_seq":1}',
    '{"n":1,"tenant_seq":2}',
    '{"n":2,"text":"häßlich","tenant_seq":3}',
    '{"n":3,"tenant_seq":4}',
    '{"n":4,"tenant_seq":1}',
    '{"n":5,"tenant_seq":5}',
    '{"n":7,"tenant_seq":6}',
  ])
  expect(calls.slice(0, 2)).toEqual(['write', 'sync'])
  await journal.close()
})
test.runIf(process.platform === 'linux')(
  'syncs what it writes as it is written, unless it is told not to',
  async () => {
    for (const [fsync, isSynced] of [
      ['batch', true],
      ['off', false],
    ] as const) {
      const journal = await Journal.open({ root: await temporaryDirectory(), fsync })
      await journal.append('a', '{"n":1}')
      expect(((await openFlags(journal.writer)) & constants.O_DSYNC) !== 0).toBe(isSynced)
      await journal.close()
    }
  },
)

/** How the file is open in whose path this stands. */
async function openFlags(inPath: string): Promise<number> {
  for (const fd of await readdir('/proc/self/fd')) {
    const path = await readlink(`/proc/self/fd/${fd}`).catch(() => '')
    if (!path.includes(inPath)) continue
    const info = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8')
    return Number.parseInt(/^flags:\s+(\d+)$/m.exec(info)?.[1] ?? '', 8)
  }
  throw new Error(`no file of ${inPath} is open`)
}

test('answers only when the record is written and synced', async () => {
  const released = deferred()
  const journal = await Journal.open({
    root: await temporaryDirectory(),
    fsync: 'batch',
    openFile: async (path) => ({ ...(await realFile(path)), datasync: () => released.promise }),
  })
  let answered = false
  const append = journal.append('a', '{"n":1}').then(() => {
    answered = true
  })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(answered).toBe(false)
  expect(journal.confirmed).toBe(0)
  expect(await textsOf(journal)).toEqual([])
  released.resolve()
  await append
  expect(await textsOf(journal)).toEqual(['{"n":1,"tenant_seq":1}'])
  await journal.close()
})

test.each(['write', 'short write', 'sync', 'open'])(
  'a failed %s refuses the whole group, and heals by itself',
  async (kind) => {
    const root = await temporaryDirectory()
    const broken = { now: false }
    const journal = await Journal.open({ root, fsync: 'batch', openFile: breakable(kind, broken) })
    await Promise.all([journal.append('a', '{"n":1}'), journal.append('b', '{"n":2}')])
    broken.now = true
    // A file that stays open is not opened again: only a new one can show that opening fails.
    if (kind === 'open') await failOnce(journal)
    for (let round = 0; round < 3; round++) {
      const group = [journal.append('a', '{"lost":1}'), journal.append('c', '{"lost":2}')]
      for (const result of await Promise.allSettled(group)) {
        expect(result).toEqual({ status: 'rejected', reason: unavailable })
      }
    }
    broken.now = false
    expect(await Promise.all([journal.append('a', '{"n":3}'), journal.append('c', '{"n":4}')])).toEqual([2, 3])
    expect(await journal.append('b', '{"n":5}')).toBe(4)
    const kept = [
      '{"n":1,"tenant_seq":1}',
      '{"n":2,"tenant_seq":1}',
      '{"n":3,"tenant_seq":2}',
      '{"n":4,"tenant_seq":1}',
      '{"n":5,"tenant_seq":2}',
    ]
    expect(await textsOf(journal)).toEqual(kept)
    await journal.close()
    const { segments, damages, tornBytes } = await recoverSegments(join(root, journal.writer))
    expect(await textsOf(segments)).toEqual(kept)
    expect({ damages, tornBytes }).toEqual({ damages: [], tornBytes: 0 })
  },
)

test('deleting what is shipped leaves the file alone that took the place of one that failed', async () => {
  const broken = { now: false }
  const openFile = breakable('write', broken)
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'batch', openFile })
  await journal.append('a', '{"n":1}')
  broken.now = true
  await failOnce(journal)
  await failOnce(journal)
  broken.now = false
  await journal.append('a', '{"n":2}')
  await journal.trim(1)
  expect(journal.oldest).toBe(1)
  expect(await textsOf(journal, 1)).toEqual(['{"n":2,"tenant_seq":2}'])
  await journal.close()
})

test('never writes again to a file that failed', async () => {
  const root = await temporaryDirectory()
  const broken = { now: false }
  const journal = await Journal.open({ root, fsync: 'batch', openFile: breakable('sync', broken) })
  await journal.append('a', '{"n":1}')
  broken.now = true
  await expect(journal.append('a', '{"n":2}')).rejects.toEqual(unavailable)
  const directory = join(root, journal.writer)
  const [abandoned = ''] = await readdir(directory)
  const { size, mtimeMs } = await stat(join(directory, abandoned))
  broken.now = false
  await journal.append('a', '{"n":3}')
  expect((await readdir(directory)).sort()).toEqual(['0000000000000000.log', '0000000000000001.log'])
  const after = await stat(join(directory, abandoned))
  expect(after).toMatchObject({ size, mtimeMs })
  await journal.close()
})

test('refuses records beyond its limit, and takes them again once space is free', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 20_000 })
  const text = `{"pad":"${'x'.repeat(900)}"}`
  let kept = 0
  await expect(
    (async () => {
      for (; kept < 100; kept++) await journal.append('a', text)
    })(),
  ).rejects.toEqual(unavailable)
  expect(kept).toBeGreaterThan(15)
  expect(journal.bytes).toBeLessThanOrEqual(20_000)
  await journal.trim(kept)
  expect(await journal.append('a', text)).toBe(kept)
  expect(journal.oldest).toBeGreaterThan(0)
  expect((await textsOf(journal, kept)).at(0)).toContain(`"tenant_seq":${kept + 1}}`)
  await journal.close()
})

test('the limit counts what is still waiting to be written', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 10_000 })
  const text = `{"pad":"${'x'.repeat(900)}"}`
  const results = await Promise.allSettled(Array.from({ length: 100 }, () => journal.append('a', text)))
  expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(11)
  expect(journal.bytes).toBeLessThanOrEqual(10_000)
  await journal.close()
})

test('says whether there is room for an ordinary record, however small the last one was that did not fit', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 340_000 })
  expect(journal.isKeeping).toBe(true)
  for (let n = 0; n < 3; n++) await journal.append('a', `{"pad":"${'x'.repeat(90_000)}"}`)
  expect(journal.isKeeping).toBe(false)
  await journal.append('a', '{"n":1}')
  expect(journal.isKeeping).toBe(false)
  await journal.trim(journal.confirmed)
  expect(journal.isKeeping).toBe(true)
  await journal.close()
})

test('only the tenant that holds more than its share is refused; the others go on, until their share is used up', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 1_000_000 })
  const text = `{"pad":"${'x'.repeat(952)}"}`
  const fill = async (tenant: string) => {
    let kept = 0
    for (; kept < 2000; kept++) if ((await journal.append(tenant, text).catch(() => undefined)) === undefined) break
    return kept
  }
  const greedy = await fill('greedy')
  expect(Math.abs(greedy - 875)).toBeLessThan(10)
  await expect(journal.append('greedy', text)).rejects.toEqual(unavailable)
  for (let n = 0; n < 50; n++) await journal.append('modest', text)
  const second = await fill('second')
  // An eighth was left; all have less room now, and the two that hold most are refused first.
  expect(second).toBeGreaterThan(50)
  await journal.append('third', text)
  await expect(journal.append('second', text)).rejects.toEqual(unavailable)
  await expect(journal.append('greedy', text)).rejects.toEqual(unavailable)
  expect(journal.bytes).toBeLessThanOrEqual(1_000_000)
  await journal.trim(journal.confirmed)
  expect(await fill('greedy')).toBeGreaterThan(700)
  await journal.close()
})

test('is roomy while a quarter is taken at most', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 400_000 })
  const text = `{"pad":"${'x'.repeat(9_960)}"}`
  for (let n = 0; n < 9; n++) await journal.append('one', text)
  expect(journal.isRoomy).toBe(true)
  for (let n = 0; n < 2; n++) await journal.append('other', text)
  expect(journal.isRoomy).toBe(false)
  await journal.close()
})

test('says how many tenants are refused, and that it keeps nothing only where all of them are', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 4_000_000 })
  const text = `{"pad":"${'x'.repeat(9_960)}"}`
  for (let n = 0; n < 348; n++) await journal.append('greedy', text)
  expect({ refused: journal.tenantsRefused, isKeeping: journal.isKeeping }).toEqual({ refused: 1, isKeeping: false })
  await journal.append('modest', text)
  expect({ refused: journal.tenantsRefused, isKeeping: journal.isKeeping }).toEqual({ refused: 1, isKeeping: true })
  await journal.trim(journal.confirmed)
  expect({ refused: journal.tenantsRefused, isKeeping: journal.isKeeping }).toEqual({ refused: 0, isKeeping: true })
  await journal.close()
})

test('a record that was not kept takes nothing of its tenant’s share', async () => {
  const broken = { now: true }
  const openFile = breakable('write', broken)
  const root = await temporaryDirectory()
  const journal = await Journal.open({ root, fsync: 'off', maxBytes: 100_000, openFile })
  const text = `{"pad":"${'x'.repeat(9_000)}"}`
  for (let n = 0; n < 30; n++) await expect(journal.append('a', text)).rejects.toEqual(unavailable)
  broken.now = false
  for (let n = 0; n < 9; n++) await journal.append('a', text)
  await journal.close()
})

test('says how much it holds that is not in the store, and since when', async () => {
  let now = 0
  const root = await temporaryDirectory()
  const journal = await Journal.open({ root, fsync: 'off', clock: () => now })
  expect(journal.backlog).toMatchObject({ bytes: 0, age: 0 })
  await journal.append('a', '{"n":1}')
  now = 5000
  await journal.append('a', '{"n":2}')
  now = 6000
  expect(journal.backlog.age).toBe(6000)
  expect(journal.backlog.bytes).toBeGreaterThan(70)
  await journal.trim(1)
  expect(journal.backlog.age).toBe(1000)
  await journal.trim(2)
  expect(journal.backlog).toMatchObject({ bytes: 0, age: 0 })
  await journal.close()
})

test('gives back the space of one group that took all of it', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', maxBytes: 200_000 })
  const text = `{"pad":"${'x'.repeat(9_000)}"}`
  const results = await Promise.allSettled(Array.from({ length: 100 }, () => journal.append('a', text)))
  expect(results.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(15)
  await journal.trim(journal.confirmed)
  expect(journal.bytes).toBe(0)
  expect(await journal.append('a', text)).toBe(journal.confirmed - 1)
  await journal.close()
})

test.each(['write', 'short write', 'sync', 'open'])(
  'after a failed %s it says that it keeps nothing, until the disk takes something again',
  async (kind) => {
    const root = await temporaryDirectory()
    const broken = { now: false }
    const openFile = breakable(kind, broken)
    const journal = await Journal.open({ root, fsync: 'batch', openFile, probeMs: 10 })
    broken.now = true
    await failOnce(journal)
    expect(journal.isKeeping).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(journal.isKeeping).toBe(false)
    broken.now = false
    await expect.poll(() => journal.isKeeping).toBe(true)
    expect(await readdir(join(root, journal.writer))).not.toContain('probe')
    expect(await journal.append('a', '{"n":1}')).toBe(0)
    await journal.close()
  },
)

test('keeps what was appended before it is closed, and nothing after', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'batch' })
  const appended = journal.append('a', '{"n":1}')
  const closed = journal.close()
  await expect(journal.append('a', '{"n":2}')).rejects.toMatchObject({ code: 'shutting_down' })
  expect(await appended).toBe(0)
  await closed
  expect(await textsOf(journal)).toEqual(['{"n":1,"tenant_seq":1}'])
})

test('a record of several MiB goes in and comes out whole', async () => {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off' })
  const pad = 'ü'.repeat(3_000_000)
  await Promise.all([journal.append('a', `{"pad":"${pad}"}`), journal.append('a', '{"n":2}')])
  expect(await textsOf(journal)).toEqual([`{"pad":"${pad}","tenant_seq":1}`, '{"n":2,"tenant_seq":2}'])
  await expect(journal.append('a', `{"pad":"${'x'.repeat(17_000_000)}"}`)).rejects.toEqual(unavailable)
  await journal.close()
})

async function realFile(path: string): Promise<SegmentFile> {
  const file = await open(path, 'wx')
  return {
    write: (...range) => file.write(...range),
    datasync: () => file.datasync(),
    close: () => file.close(),
  }
}

function counting(calls: string[]): (path: string) => Promise<SegmentFile> {
  return async (path) => {
    const file = await realFile(path)
    return {
      ...file,
      write: (...range) => {
        calls.push('write')
        return file.write(...range)
      },
      datasync: () => {
        calls.push('sync')
        return file.datasync()
      },
    }
  }
}

/** A disk that fails in one way while `broken.now`: what was asked to be written may have got there, or half of it. */
function breakable(kind: string, broken: { now: boolean }): (path: string) => Promise<SegmentFile> {
  return async (path) => {
    if (kind === 'open' && broken.now) throw new Error('EMFILE')
    const file = await realFile(path)
    return {
      ...file,
      write: async (buffer, offset, length, position) => {
        if (!broken.now || kind === 'sync') return file.write(buffer, offset, length, position)
        if (kind === 'short write' && length > 20) return file.write(buffer, offset, 20, position)
        throw new Error('ENOSPC')
      },
      datasync: async () => {
        if (broken.now) throw new Error('EIO')
        await file.datasync()
      },
    }
  }
}

async function failOnce(journal: Journal): Promise<void> {
  await expect(journal.append('a', '{"lost":0}')).rejects.toEqual(unavailable)
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
