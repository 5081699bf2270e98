import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Load {
  readonly url: string
  readonly key: string
  readonly connections: number
  readonly seconds: number
  /** Questions a second, evenly spread; as many as are answered where none is given. */
  readonly rate?: number
  /** Where more questions wait than come in so long, the rate is beyond what is answered, and it ends early; 2 s. */
  readonly lateSeconds?: number
  /** What is asked; single questions of \`/v1/authorize\` where none is given. */
  readonly question?: () => Question
}

export interface Question {
  readonly path: string
  /** ASCII. */
  readonly body: string
  /** Of the whole answer, its head included. */
  readonly isRight: (answer: string) => boolean
}

export interface Answered {
  readonly answers: number
  readonly seconds: number
  readonly per_second: number
  /** From when a question was due, so that one that had to wait for a free connection counts that, too. */
  readonly p50_ms: number
  readonly p99_ms: number
}

const TICK_MS = 2
const LATE_SECONDS = 2
const GOODBYE_MS = 10_000

/**
 * Asks `POST /v1/authorize` about resources that nobody asked about before, one question in eight about somebody
 * else's, and throws at an answer that is not the right one. Written for little work of its own: on a machine of two
 * cores the load generator stands beside what is measured.
 */
export async function press(load: Load): Promise<Answered> {
  const pressing = new Pressing(load)
  const callers = Array.from({ length: load.connections }, () => new Caller(load, pressing))
  try {
    await Promise.all(callers.map((caller) => caller.ready))
    return await pressing.run(callers)
  } finally {
    for (const caller of callers) caller.end()
  }
}

/** What all callers have in common: whose turn it is, and what was answered. */
class Pressing {
  readonly #rate: number | undefined
  readonly #seconds: number
  readonly #lateSeconds: number
  readonly #latencies: number[] = []
  /** When the questions were due that wait for a caller. */
  readonly #due: number[] = []
  #idle: Caller[] = []
  #busy = 0
  #fault: Error | undefined
  #isOver = false

  constructor({ rate, seconds, lateSeconds = LATE_SECONDS }: Load) {
    this.#rate = rate
    this.#seconds = seconds
    this.#lateSeconds = lateSeconds
  }

  async run(callers: readonly Caller[]): Promise<Answered> {
    this.#idle = [...callers]
    const began = performance.now()
    const until = began + this.#seconds * 1000
    const most = this.#rate === undefined ? callers.length : this.#rate * this.#lateSeconds + callers.length
    if (this.#rate === undefined) this.#due.push(...callers.map(() => began))
    for (let now = began, asked = 0; now < until && this.#fault === undefined; now = performance.now()) {
      for (; this.#rate !== undefined && asked < ((now - began) / 1000) * this.#rate; asked++) this.#due.push(now)
      this.#hand()
      if (this.#due.length > most) break
      await pause(TICK_MS)
    }
    this.#isOver = true
    const seconds = (performance.now() - began) / 1000
    const answers = this.#latencies.length
    for (let waited = 0; this.#busy > 0 && this.#fault === undefined && waited < GOODBYE_MS; waited += 10)
      await pause(10)
    if (this.#busy > 0) this.fail(new Error(`${this.#busy} questions were not answered`))
    if (this.#fault !== undefined) throw this.#fault
    const sorted = Float64Array.from(this.#latencies).sort()
    const at = (share: number) => rounded(sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN)
    return { answers, seconds, per_second: answers / seconds, p50_ms: at(0.5), p99_ms: at(0.99) }
  }

  fail(error: Error): void {
    this.#fault ??= error
  }

  answered(caller: Caller, due: number): void {
    const now = performance.now()
    this.#latencies.push(now - due)
    this.#busy--
    this.#idle.push(caller)
    if (this.#rate === undefined && !this.#isOver) this.#due.push(now)
    this.#hand()
  }

  #hand(): void {
    while (!this.#isOver && this.#due.length > 0) {
      const caller = this.#idle.pop()
      const due = caller === undefined ? undefined : this.#due.shift()
      if (caller === undefined || due === undefined) return
      this.#busy++
      caller.ask(due)
    }
  }
}

let asked = 0

function single(): Question {
  const at = asked++
  const isAllowed = at % 8 !== 0
  const owner = isAllowed ? at % 1000 : 1000
  return {
    path: '/v1/authorize',
    body: `{"subject":{"type":"user","id":"user-${at % 1000}"},"action":{"name":"document:read"},"resource":{"type":"document","id":"fresh/${at}","properties":{"owner":"user-${owner}"}}}`,
    isRight: (answer) => answer.includes(`"decision":${isAllowed}`),
  }
}

/** One connection, with one question under way at most. */
class Caller {
  readonly ready: Promise<unknown>
  readonly #socket: Socket
  readonly #head: string
  readonly #pressing: Pressing
  #rest = ''
  #due = 0
  #isRight: Question['isRight'] = () => false
  readonly #question: () => Question

  constructor({ url, key, question = single }: Load, pressing: Pressing) {
    const { hostname, port, host } = new URL(url)
    this.#pressing = pressing
    this.#question = question
    this.#head = ` HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: `
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true }).setEncoding('latin1')
    this.ready = once(this.#socket, 'connect')
    this.#socket.on('data', (piece: string) => this.#read(piece))
    this.#socket.on('error', (error) => pressing.fail(error))
    this.#socket.on('close', () => pressing.fail(new Error('the service closed a connection')))
  }

  ask(due: number): void {
    const { path, body, isRight } = this.#question()
    this.#due = due
    this.#isRight = isRight
    this.#socket.write(`POST ${path}${this.#head}${body.length}\r\n\r\n${body}`)
  }

  end(): void {
    this.#socket.removeAllListeners('close').destroy()
  }

  #read(piece: string): void {
    this.#rest += piece
    const head = this.#rest.indexOf('\r\n\r\n')
    if (head === -1) return
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#rest)?.[1]
    if (length !== undefined && this.#rest.length < head + 4 + Number(length)) return
    const answer = this.#rest
    this.#rest = ''
    if (answer.startsWith('HTTP/1.1 200') && this.#isRight(answer)) {
      this.#pressing.answered(this, this.#due)
    } else this.#pressing.fail(new Error(`a wrong answer: ${answer.slice(0, 400)}`))
  }
}

export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}
