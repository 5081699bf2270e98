import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Load, rounded } from '../audit/callers.ts'
import type { Room } from '../audit/room.ts'
import { Service } from '../audit/service.ts'
import type { Row } from '../section.ts'

/** What a piece of the program belongs to, by its file; the first that fits. What fits none belongs to who called it. */
const PARTS: readonly (readonly [part: string, pattern: RegExp])[] = [
  ['who calls, and may it', /\/dist\/(authn\/|http\/(guard|authenticator|access-token|throttle|origin))/],
  ['reading the body strictly', /\/dist\/http\/(json|body)\.js/],
  [
    'headers, timing, metrics',
    /\/dist\/(http\/(headers|timing|cors|door|server)|telemetry\/)|node_modules\/prom-client\//,
  ],
  ['facts', /\/dist\/(snapshot|policy\/entity-graph|policy\/wide-map)/],
  ['deciding', /\/dist\/policy\/|node_modules\/(@marcbachmann|re2js)\//],
  ['the record', /\/dist\/(pdp\/(event|batch-records|search-event)|audit\/(event|redact))/],
  ['the journal', /\/dist\/audit\/(journal|trail|frame|disk|segments|backlog)|^node:internal\/fs\//],
  ['shipping to Postgres', /\/dist\/(audit|store)\/|node_modules\/(pg|pg-[a-z-]+|kysely|postgres-[a-z-]+)\//],
  ['the use case', /\/dist\/(pdp|http)/],
  [
    'Fastify',
    /node_modules\/(fastify|find-my-way|avvio|secure-json-parse|fast-[a-z-]+|@fastify|ajv[a-z-]*|light-my-request)\//,
  ],
  [
    'node:http and sockets',
    /^node:(_http|http|net|internal\/(http|streams?|stream_base|net)|_stream|stream|internal\/timers|timers)/,
  ],
]
const WARM_SECONDS = 10
const REST = 'the rest of Node'
const NATIVE = new Map([
  ['(garbage collector)', 'garbage collection'],
  ['(program)', 'the kernel and native code outside of JavaScript'],
  ['(idle)', 'idle'],
])

interface Node {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly Node[]
  readonly samples: readonly number[]
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[]
}

/** Where the main thread's time goes while it is asked as fast as it answers, µs for each answer. */
export async function partsOf(
  room: Room,
  name: string,
  asked: Omit<Load, 'url' | 'key'>,
  decisions: number,
): Promise<Row[]> {
  const file = join(room.folder, `${name}.json`)
  const preload = new URL('sampled.js', import.meta.url).href
  const service = await Service.start(room, name, { NODE_OPTIONS: `--import=${preload}`, SAMPLES: file })
  await service.press({ ...asked, seconds: WARM_SECONDS })
  await service.drained()
  service.signal('SIGUSR2')
  await pause(500)
  const { answers } = await service.press(asked)
  service.signal('SIGUSR2')
  for (let attempt = 0; !existsSync(file) || readFileSync(file).length === 0; attempt++) {
    if (attempt > 100) throw new Error('the samples were not written')
    await pause(100)
  }
  await pause(500)
  return byPart(JSON.parse(readFileSync(file, 'utf8')), answers * decisions)
}

function byPart({ nodes, samples, timeDeltas }: Profile, answers: number): Row[] {
  const parts = new Map<number, string>()
  const known = new Map(nodes.map((node) => [node.id, node]))
  const walk = (node: Node, above: string) => {
    const { functionName, url } = node.callFrame
    const part = NATIVE.get(functionName) ?? partOf(url) ?? above
    parts.set(node.id, part)
    for (const child of node.children ?? []) {
      const next = known.get(child)
      if (next !== undefined) walk(next, part)
    }
  }
  const [root] = nodes
  if (root !== undefined) walk(root, REST)
  const spent = new Map<string, number>()
  for (const [at, sample] of samples.entries()) {
    const part = parts.get(sample) ?? REST
    spent.set(part, (spent.get(part) ?? 0) + (timeDeltas[at] ?? 0))
  }
  spent.delete('idle')
  const total = [...spent.values()].reduce((sum, each) => sum + each, 0)
  return [...spent]
    .sort(([, one], [, other]) => other - one)
    .map(([part, us]) => ({ part, us: rounded(us / answers), share: rounded(us / total) }))
}

function partOf(url: string): string | undefined {
  return PARTS.find(([, pattern]) => pattern.test(url))?.[0]
}
