import { parentPort, workerData } from 'node:worker_threads'
import { type ReadBundle, readBundle, SECTIONS } from '../administration/bundle.ts'
import { Failure } from '../failure.ts'
import { type BundleFormat, parseBundleText, type WorkerMessage } from './bundle-reader.ts'

/** Reads one big bundle in a thread of its own, and hands it over in parts that are quickly taken in. */

const { bytes, format }: { bytes: Uint8Array; format: BundleFormat } = workerData

// About a millisecond each to parse.
const PART_ITEMS = 200

try {
  hand(readBundle(parseBundleText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), format)))
} catch (error) {
  if (!(error instanceof Failure)) throw error
  say({ refused: { message: error.message, problems: error.problems } })
}

function hand({ sections, ...bundle }: ReadBundle): void {
  for (const section of SECTIONS) {
    const placed = sections[section] ?? []
    for (let from = 0; from < placed.length; from += PART_ITEMS) {
      say({ part: JSON.stringify({ section, items: placed.slice(from, from + PART_ITEMS) }) })
    }
  }
  say({ done: { ...bundle, declared: Object.keys(sections) } })
}

function say(message: WorkerMessage): void {
  parentPort?.postMessage(message)
}
