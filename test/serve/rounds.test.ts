import { setTimeout as pause } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { Opened } from '../../src/serve/closing.ts'
import { roundsOf } from '../../src/serve/rounds.ts'
import { createLogger } from '../../src/telemetry/logger.ts'

function make() {
  const opened = new Opened(createLogger('silent'))
  const told: object[] = []
  const { every } = roundsOf(opened, { warn: (facts: object) => void told.push(facts) })
  return { opened, told, every }
}

test('a round that takes longer than the time between two is not overtaken by the next', async () => {
  const { opened, every } = make()
  let atOnce = 0
  let most = 0
  let begun = 0
  every(5, 'slow', async () => {
    begun++
    most = Math.max(most, ++atOnce)
    await pause(30)
    atOnce--
  })
  await vi.waitFor(() => expect(begun).toBeGreaterThan(2))
  await opened.close(1000)
  expect(most).toBe(1)
})

test('a task that goes on failing is told of once, and again after it has succeeded', async () => {
  const { opened, told, every } = make()
  const outcomes = ['fails', 'fails', 'succeeds', 'fails', 'fails']
  let at = 0
  every(2, 'pruning', async () => {
    if (outcomes[at++] === 'fails') throw new Error('no database')
  })
  await vi.waitFor(() => expect(at).toBeGreaterThanOrEqual(outcomes.length))
  await opened.close(1000)
  expect(told).toMatchObject([{ round: 'pruning' }, { round: 'pruning' }])
})
