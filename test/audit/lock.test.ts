import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { acquireLock } from '../../src/audit/lock.ts'
import { temporaryDirectory } from './support.ts'

const held = (directory: string) =>
  expect.objectContaining({ code: 'unsafe_configuration', message: expect.stringContaining(directory) })

test('a data directory belongs to one process, until it gives it back', async () => {
  const directory = await temporaryDirectory()
  const lock = await acquireLock(directory)
  await expect(acquireLock(directory)).rejects.toEqual(held(directory))
  await lock.release()
  expect(await readdir(directory)).toEqual([])
  const next = await acquireLock(directory)
  await next.release()
})

test('of several that start at once at most one gets it', async () => {
  const directory = await temporaryDirectory()
  for (let round = 0; round < 5; round++) {
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => acquireLock(directory)))
    const locks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(locks.length).toBeLessThanOrEqual(1)
    await Promise.all(locks.map((lock) => lock.release()))
  }
})

test('takes over what a killed process left', async () => {
  const directory = await temporaryDirectory()
  const script = `require('node:net').createServer().listen(process.argv[1], () => console.log('ready'))`
  const child = spawn(process.execPath, ['-e', script, join(directory, 'lock-0123456789ab.sock')])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await expect(acquireLock(directory)).rejects.toEqual(held(directory))
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('exit', resolve))
  const lock = await acquireLock(directory)
  expect(await readdir(directory)).toHaveLength(1)
  await lock.release()
})

test.runIf(process.platform === 'linux')('works in a directory with a path too long for a socket', async () => {
  const directory = join(await temporaryDirectory(), 'd'.repeat(120))
  const lock = await acquireLock(directory)
  await expect(acquireLock(directory)).rejects.toEqual(held(directory))
  await lock.release()
  await (await acquireLock(directory)).release()
})
