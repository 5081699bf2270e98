import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

/** What callers were told: kept out here, by who asked. */
export interface Answers {
  /** Ids of the records of decisions that were given out. */
  readonly decided: string[]
  /** How many answers had which status; `cut` where a connection broke. */
  readonly statuses: Map<number | 'cut', number>
  /** ms that the slowest answer took. */
  slowest: number
}

export function noAnswers(): Answers {
  return { decided: [], statuses: new Map(), slowest: 0 }
}

export interface Asking {
  readonly url: string
  readonly key: string
  readonly connections: number
  /** Requests a second over all connections; as many as it takes where none is given. */
  readonly rate?: number
  readonly signal: AbortSignal
}

/** Asks over kept-alive connections until it is told to stop, or nobody answers any more. */
export async function ask(asking: Asking, answers: Answers): Promise<void> {
  const { connections, rate, signal } = asking
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const interval = rate === undefined ? 0 : (1000 * connections) / rate
  const worker = async (name: number) => {
    let next = performance.now() + (interval * name) / connections
    for (let n = 0; !signal.aborted; n++) {
      const began = performance.now()
      const status = await askOnce(asking, agent, `${name}-${n}`, answers)
      answers.slowest = Math.max(answers.slowest, performance.now() - began)
      answers.statuses.set(status, (answers.statuses.get(status) ?? 0) + 1)
      if (status === 'cut') return
      next = Math.max(next + interval, performance.now() - 1000)
      if (interval > 0) await pause(Math.max(0, next - performance.now()))
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, name) => worker(name)))
  agent.destroy()
}

function askOnce({ url, key }: Asking, agent: Agent, resource: string, answers: Answers): Promise<number | 'cut'> {
  const question = {
    subject: { type: 'user', id: 'ann' },
    action: { name: 'document:read' },
    resource: { type: 'document', id: resource },
  }
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const sent = request(`${url}/v1/authorize`, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('error', () => resolve('cut'))
      response.on('end', () => {
        const id = response.statusCode === 200 ? decisionId(text) : undefined
        if (id !== undefined) answers.decided.push(id)
        resolve(response.statusCode ?? 'cut')
      })
    })
    sent.on('error', () => resolve('cut'))
    sent.end(JSON.stringify(question))
  })
}

/** Whoever gets half an answer has none. */
function decisionId(text: string): string | undefined {
  try {
    return JSON.parse(text).context.decision_id
  } catch {
    return undefined
  }
}

/** How the list kept outside compares with what is recorded. */
export interface Comparison {
  readonly answered: number
  readonly recorded: number
  /** Answered, and not recorded. */
  readonly lost: number
  /** Recorded more than once. */
  readonly doubled: number
}

export function compare(decided: readonly string[], recorded: readonly string[]): Comparison {
  const found = new Set(recorded)
  const lost = decided.filter((id) => !found.has(id)).length
  return { answered: decided.length, recorded: found.size, lost, doubled: recorded.length - found.size }
}
