import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** How often each replica is asked whether it takes questions, and how long that may take. */
const LOOK_MS = 150
const PATIENCE_MS = 1_500

interface Replica {
  readonly url: string
  isReady: boolean
}

/**
 * Hands connections, by turns, to replicas whose `/readyz` is 200, as a balancer of connections does: it knows nothing of
 * requests, and repeats none. A connection that it cannot hand on breaks.
 */
export class Balancer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #replicas: readonly Replica[] = []
  #turn = 0
  readonly #looking: NodeJS.Timeout

  private constructor() {
    this.#server = createServer((client) => this.#accept(client))
    this.#looking = setInterval(() => void this.#look(), LOOK_MS)
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer()
    balancer.#server.listen(0, '127.0.0.1')
    await once(balancer.#server, 'listening')
    return balancer
  }

  get url(): string {
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  }

  /** How many replicas are taken to be ready. */
  get ready(): number {
    return this.#replicas.filter(({ isReady }) => isReady).length
  }

  /** One that is there from now on; connections come to it once it has been seen to be ready. */
  add(url: string): void {
    this.#replicas = [...this.#replicas, { url, isReady: false }]
  }

  remove(url: string): void {
    this.#replicas = this.#replicas.filter((replica) => replica.url !== url)
  }

  async close(): Promise<void> {
    clearInterval(this.#looking)
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #look(): Promise<void> {
    await Promise.all(
      this.#replicas.map(async (replica) => {
        const headers = { connection: 'close' }
        const asked = fetch(`${replica.url}/readyz`, { headers, signal: AbortSignal.timeout(PATIENCE_MS) })
        replica.isReady = await asked.then(
          (response) => response.arrayBuffer().then(() => response.ok),
          () => false,
        )
      }),
    )
  }

  #accept(client: Socket): void {
    const ready = this.#replicas.filter(({ isReady }) => isReady)
    const chosen = ready[this.#turn++ % Math.max(1, ready.length)]
    if (chosen === undefined) {
      client.destroy()
      return
    }
    const { hostname, port } = new URL(chosen.url)
    const replica = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, replica],
      [replica, client],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => this.#sockets.delete(from))
      from.pipe(to)
    }
  }
}
