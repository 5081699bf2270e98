import { describe, expect, test } from 'vitest'
import type { Reply } from '../support/service.ts'

/**
 * What is tried, what has to be answered, and how it is tried. The answer is a status, with the pointer to what is wrong
 * where there is one (`400 /subject/id`), or `200 allowed` and `200 denied` of a decision. Names and answers stand as
 * plain texts in the tables, since docs/attacks.md is made of them.
 */
export type Attack = readonly [name: string, answer: string, send: () => Promise<Reply | string>]

export function attacks(group: string, table: readonly Attack[]): void {
  describe(group, () => {
    test.each(table)('%s: %s', async (_name, answer, send) => {
      const reply = await send()
      const told = typeof reply === 'string' ? reply : toldBy(reply)
      expect(told, typeof reply === 'string' ? reply : JSON.stringify(reply.body)).toBe(answer)
    })
  })
}

function toldBy({ status, body }: Reply): string {
  const pointer = body?.errors?.[0]?.pointer
  if (typeof pointer === 'string' && pointer !== '') return `${status} ${pointer}`
  if (typeof body?.decision === 'boolean') return `${status} ${body.decision ? 'allowed' : 'denied'}`
  return String(status)
}
