import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { recoverSegments, segmentName } from '../../src/audit/segments.ts'
import { temporaryDirectory, textsOf } from './support.ts'

const texts = fc.array(
  fc.record({ text: fc.string({ unit: 'grapheme', maxLength: 40 }) }).map((value) => JSON.stringify(value)),
  { minLength: 1, maxLength: 8 },
)

interface ClosedLog {
  readonly directory: string
  readonly file: string
  /** Where each record's frame ends. */
  readonly ends: readonly number[]
  readonly records: readonly string[]
}

async function logOf(root: string, events: readonly string[]): Promise<ClosedLog> {
  const journal = await Journal.open({ root, fsync: 'off' })
  const ends: number[] = []
  for (const event of events) {
    await journal.append('a', event)
    ends.push(journal.bytes)
  }
  await journal.close()
  const directory = join(root, journal.writer)
  return { directory, file: join(directory, segmentName(0)), ends, records: await textsOf(journal) }
}

test('a log cut off at any byte gives back exactly the records that are whole', async () => {
  const root = await temporaryDirectory()
  await fc.assert(
    fc.asyncProperty(texts, async (events) => {
      const { directory, file, ends, records } = await logOf(root, events)
      for (let size = ends.at(-1) ?? 0; size >= 0; size--) {
        await truncate(file, size)
        const { segments, damages, tornBytes } = await recoverSegments(directory)
        const whole = ends.filter((end) => end <= size).length
        expect(await textsOf(segments)).toEqual(records.slice(0, whole))
        expect(segments.next).toBe(whole)
        expect({ damages, tornBytes }).toEqual({ damages: [], tornBytes: size - (ends[whole - 1] ?? 0) })
      }
    }),
    { numRuns: 10 },
  )
})

test('a log that ends in anything else gives back the records before it', async () => {
  const root = await temporaryDirectory()
  await fc.assert(
    fc.asyncProperty(texts, fc.nat(), fc.uint8Array({ maxLength: 100 }), async (events, place, garbage) => {
      const { directory, file, ends, records } = await logOf(root, events)
      const size = place % ((ends.at(-1) ?? 0) + 1)
      const whole = ends.filter((end) => end <= size).length
      await writeFile(file, Buffer.concat([(await readFile(file)).subarray(0, size), Buffer.alloc(20), garbage]))
      const { segments } = await recoverSegments(directory)
      expect(await textsOf(segments)).toEqual(records.slice(0, whole))
    }),
    { numRuns: 50 },
  )
})

test('a byte changed anywhere is noticed: the log ends before that record', async () => {
  const root = await temporaryDirectory()
  await fc.assert(
    fc.asyncProperty(texts, fc.nat(), fc.integer({ min: 1, max: 255 }), async (events, place, flip) => {
      const { directory, file, ends, records } = await logOf(root, events)
      const bytes = await readFile(file)
      const changed = place % bytes.length
      bytes.writeUInt8(bytes.readUInt8(changed) ^ flip, changed)
      await writeFile(file, bytes)
      const { segments } = await recoverSegments(directory)
      expect(await textsOf(segments)).toEqual(records.slice(0, ends.filter((end) => end <= changed).length))
    }),
    { numRuns: 100 },
  )
})

test('records that are lost in the middle of a log are reported, and those after them still readable', async () => {
  const root = await temporaryDirectory()
  const journal = await Journal.open({ root, fsync: 'off', segmentBytes: 100 })
  for (let n = 0; n < 12; n++) await journal.append('a', `{"n":${n}}`)
  await journal.close()
  const directory = join(root, journal.writer)
  const middle = join(directory, segmentName(3))
  const bytes = await readFile(middle)
  await writeFile(middle, bytes.subarray(0, bytes.length - 1))
  const { segments, damages } = await recoverSegments(directory)
  expect(damages).toEqual([{ path: middle, from: 5, to: 6 }])
  expect(await textsOf(segments)).toHaveLength(5)
  expect(await textsOf(segments, 6)).toHaveLength(6)
  await rm(middle)
  const gone = await recoverSegments(directory)
  expect(gone.damages).toEqual([{ path: join(directory, segmentName(0)), from: 3, to: 6 }])
})
