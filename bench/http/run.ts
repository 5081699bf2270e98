import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { Room } from '../audit/room.ts'
import { Service } from '../audit/service.ts'
import { sustained } from '../audit/sustained.ts'
import { batchDoor } from '../batch.ts'
import { pinTo } from '../processor.ts'
import type { Section } from '../section.ts'
import { against, type Rounds, rawOf, rowsOf } from './against.ts'
import { cerbosDoor, hasCerbos } from './cerbos.ts'
import { bareDoor, type Door, verdictDoor } from './doors.ts'
import { partsOf } from './parts.ts'

const GIB = 2 ** 30
const LEVELS = [32, 64, 256]
const WARM_ANSWERS = 30_000

const SECTIONS = {
  bare: (rounds: Rounds) => inRoom((room) => bare(room, rounds)),
  sustained: (_: Rounds, hold: number) => inRoom(async (room) => sustained(await warmed(room, 'sustained'), hold)),
  cerbos: (rounds: Rounds) => inRoom((room) => onOneCore(room, rounds)),
  workers: (rounds: Rounds) => inRoom((room) => workers(room, rounds)),
  parts: ({ seconds }: Rounds) => inRoom((room) => parts(room, seconds)),
} satisfies Record<string, (rounds: Rounds, hold: number) => Promise<readonly Section[] | Section>>

/**
 * `http [--seconds 5] [--rounds 3] [--hold 6] [--only bare,sustained,cerbos,workers,parts]`: what `POST /v1/authorize`
 * costs over Fastify itself and over `node:http`, beside Cerbos's server, with two workers, and where the time goes.
 * Every request asks about a resource that nobody has asked about before; a rule with a condition decides it.
 */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      hold: { type: 'string', default: '6' },
      only: { type: 'string' },
    },
  })
  const rounds = { seconds: Number(values.seconds), rounds: Number(values.rounds), levels: LEVELS }
  const wanted = values.only?.split(',')
  const sections: Section[] = []
  for (const [name, make] of Object.entries(SECTIONS)) {
    if (wanted !== undefined && !wanted.includes(name)) continue
    console.error(`— ${name}`)
    sections.push(...[await make(rounds, Number(values.hold))].flat())
  }
  return sections
}

const inRoom = <T>(work: (room: Room) => Promise<T>) => Room.with('http', 8 * GIB, work)

async function bare(room: Room, rounds: Rounds): Promise<Section> {
  const doors = [
    await bareDoor(room, 'Fastify', 'bare-fastify.js'),
    await bareDoor(room, 'node:http', 'bare-node.js'),
    verdictDoor(await Service.start(room, 'verdict')),
  ]
  await warm(doors)
  const runs = await against(doors, rounds)
  return {
    title: '`POST /v1/authorize` beside Fastify that does no work, as a burst',
    method: `${METHOD}. Bare Fastify takes the same body and gives the same answer, both by the same schemas, bare \`node:http\`
parses the one and stringifies the other. Verdict is as delivered, an API key with each call, each decision recorded before its
answer leaves (\`journal\`, \`batch\`); shipping the records to its embedded Postgres goes on meanwhile and takes its share of
the machine. ${TIMES}`,
    rows: rowsOf(runs, doors, 'Fastify', rounds.levels),
    notes: [rawOf(runs)],
  }
}

async function onOneCore(room: Room, rounds: Rounds): Promise<Section[]> {
  if (!hasCerbos()) {
    console.error('no Cerbos here: npm ci --prefix bench --ignore-scripts')
    return []
  }
  const levels = [64]
  // What is started from here on stays on the one core, the database included; who asks has the other.
  pinTo('0')
  try {
    const service = await Service.start(room, 'one core')
    const doors = [verdictDoor(service), await cerbosDoor(room, 'off'), await cerbosDoor(room, 'on')]
    pinTo('1')
    await warm(doors)
    const runs = await against(doors, { ...rounds, levels })
    return [
      {
        title: "Beside Cerbos's own server, on one core each",
        method: `${METHOD}. Each server has one core for all that it does, the load generator the other. Cerbos is asked over its
HTTP door (\`/api/check/resources\`) by an equal policy, once without its audit log, and once with decisions in a file. Verdict
records every decision before it answers, and has its Postgres on the same core. ${TIMES}`,
        rows: rowsOf(runs, doors, 'Cerbos, audit off', levels),
        notes: [rawOf(runs)],
      },
    ]
  } finally {
    pinTo(`0-${cpus().length - 1}`)
  }
}

async function workers(room: Room, rounds: Rounds): Promise<Section> {
  const levels = [64, 256]
  const doors: Door[] = []
  for (const count of ['1', '2']) {
    const name = `workers-${count}`
    doors.push(verdictDoor(await Service.start(room, name, { VERDICT_WORKERS: count }), `${count} of them`))
  }
  await warm(doors)
  const runs = await against(doors, { ...rounds, levels })
  return {
    title: 'One worker and two, on two cores',
    method: `${METHOD}, against \`VERDICT_WORKERS=1\` and \`=2\`, each with a database of its own. The two cores are shared with who
asks and with Postgres, whose processor time stands beside: with all of it one worker has little of a core that it could not use.
${TIMES}`,
    rows: rowsOf(runs, doors, '1 of them', levels),
    notes: [rawOf(runs)],
  }
}

async function parts(room: Room, seconds: number): Promise<Section[]> {
  const { question, decisions } = batchDoor
  const method = (
    what: string,
  ) => `Where the service's main thread was, sampled every millisecond for ${seconds} s while it was asked
${what} as fast as it answered; idle time is left out. What a library or Node does on behalf of a part counts for it, unless
it stands in the table itself.`
  return [
    {
      title: 'Where the time of a decision goes, alone',
      method: method('single questions over 64 connections'),
      rows: await partsOf(room, 'single', { connections: 64, seconds }, 1),
    },
    {
      title: 'Where the time of a decision goes, in batches of 100',
      method: method('batches over 8 connections'),
      rows: await partsOf(room, 'batches', { connections: 8, seconds, question }, decisions),
    },
  ]
}

async function warmed(room: Room, name: string): Promise<Service> {
  const service = await Service.start(room, name)
  await warm([verdictDoor(service)])
  return service
}

/** Until the engine has compiled what it is to run. */
async function warm(doors: readonly Door[]): Promise<void> {
  for (const door of doors) {
    for (let answers = 0, tries = 0; answers < WARM_ANSWERS && tries < 10; tries++)
      answers += (await door.press({ connections: 64, seconds: 1 })).answers
    await door.settled()
  }
}

const METHOD =
  'Every question is about another resource, and every answer is checked; medians of runs that alternate, one process each'
const TIMES = `\`cpu\` is what an answer takes of the server's processor time in all threads, \`database\` of Postgres's meanwhile,
\`generator\` of who asks.`
