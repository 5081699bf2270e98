import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type ReadBundle, readBundle, type SECTIONS } from '../administration/bundle.ts'
import { Failure, type Problem } from '../failure.ts'
import { parseJson } from './json.ts'
import { parseYaml } from './yaml.ts'

export type BundleFormat = 'json' | 'yaml'

/** What the worker says: the parts of what it read, or why it could not. */
export type WorkerMessage =
  | { readonly part: string }
  | { readonly done: Omit<ReadBundle, 'sections'> & { readonly declared: readonly string[] } }
  | { readonly refused: { readonly message: string; readonly problems: readonly Problem[] } }

/** A part of a section, as JSON in `WorkerMessage`. */
export interface SectionPart {
  readonly section: (typeof SECTIONS)[number]
  readonly items: readonly never[]
}

// Up to here a bundle is read where it arrives. YAML takes the library some 3 ms for each KiB (and 10 ms where it is
// made to hurt), JSON a hundredth of that, and both the conditions of what they hold; what is bigger is read by a worker.
const IN_PLACE = { yaml: 2 * 1024, json: 32 * 1024 } as const satisfies Record<BundleFormat, number>

// What is bigger than this takes memory, while it is read and while it is applied: one at a time.
const BIG = 1024 * 1024

/** What a worker may take. One that needs more is ended, and the process is not. */
const WORKER_HEAP_MB = 1_024
const WORKER_MS = 180_000
const UNDER_WAY = 8

export function parseBundleText(bytes: Buffer, format: BundleFormat): unknown {
  if (format === 'json') return parseJson(bytes)
  return parseYaml(utf8(bytes))
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    const detail = 'the body is not valid UTF-8'
    throw new Failure('invalid_request', detail, { cause, problems: [{ pointer: '', detail }] })
  }
}

/** Reads bundles; big ones one at a time, each together with what is done with it. */
export class BundleReader {
  #last: Promise<unknown> = Promise.resolve()
  #underWay = 0

  async with<T>(bytes: Buffer, format: BundleFormat, use: (bundle: ReadBundle) => Promise<T>): Promise<T> {
    if (bytes.length <= IN_PLACE[format]) return use(readBundle(parseBundleText(bytes, format)))
    if (this.#underWay === UNDER_WAY) {
      throw new Failure('store_unavailable', 'too many bundles are being read already', { retryAfter: 10 })
    }
    this.#underWay++
    try {
      return await (bytes.length > BIG ? this.#inTurn(() => applied(bytes, format, use)) : applied(bytes, format, use))
    } finally {
      this.#underWay--
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work)
    this.#last = mine.catch(() => undefined)
    return mine
  }
}

async function applied<T>(bytes: Buffer, format: BundleFormat, use: (bundle: ReadBundle) => Promise<T>): Promise<T> {
  return use(await readInWorker(bytes, format))
}

// From source, as in tests, it is what the build made of it: Node runs no TypeScript in a worker before 22.
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/http/bundle-worker.js' : './bundle-worker.js',
  import.meta.url,
)

async function readInWorker(bytes: Buffer, format: BundleFormat): Promise<ReadBundle> {
  const parts: string[] = []
  const { declared, ...bundle } = await new Promise<DoneMessage>((resolve, reject) => {
    const worker = new Worker(WORKER, {
      workerData: { bytes: new Uint8Array(bytes), format },
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
      env: {},
    })
    const timer = setTimeout(() => void worker.terminate(), WORKER_MS)
    worker.on('message', (message: WorkerMessage) => {
      if ('part' in message) parts.push(message.part)
      else if ('done' in message) resolve(message.done)
      else reject(new Failure('invalid_request', message.refused.message, { problems: message.refused.problems }))
    })
    worker.on('error', (error) => reject(isOutOfMemory(error) ? tooMuch(error) : error))
    // Where it has answered already, this changes nothing.
    worker.on('exit', () => {
      clearTimeout(timer)
      reject(tooMuch())
    })
  })
  return { ...bundle, sections: await assembled(declared, parts) }
}

type DoneMessage = Extract<WorkerMessage, { done: unknown }>['done']

/** What a clone of 50 MiB would do in one turn of half a second is done in small ones. */
async function assembled(declared: readonly string[], parts: string[]): Promise<ReadBundle['sections']> {
  const sections = new Map<string, unknown[]>(declared.map((section) => [section, []]))
  for (const [place, text] of parts.entries()) {
    const { section, items }: SectionPart = JSON.parse(text)
    const list = sections.get(section)
    for (const item of items) list?.push(item)
    parts[place] = ''
    await turn()
  }
  // The worker has put into each section what `readBundle` made of it.
  return Object.fromEntries(sections) as ReadBundle['sections']
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY'
}

function tooMuch(cause?: unknown): Failure {
  const detail = 'send it as JSON, or as YAML with each list as a block under the name of its section'
  return new Failure('payload_too_large', `the bundle takes too long or too much memory to read: ${detail}`, { cause })
}
