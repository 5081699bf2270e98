import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * `pass` hands everything on; `hang` takes connections and swallows every byte, as a half-open connection does;
 * `reset` breaks every connection, old and new.
 */
export type ProxyMode = 'pass' | 'hang' | 'reset'

/** Stands between a client and a server, and has the faults that a network has. */
export class FaultyProxy {
  #mode: ProxyMode = 'pass'
  /** Milliseconds that each piece of data is held up. */
  delay = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: { host: string; port: number }

  private constructor(target: { host: string; port: number }) {
    this.#target = target
    this.#server = createServer((socket) => this.#accept(socket))
  }

  static async start(target: { host: string; port: number }): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  /** In front of the server that a URL names. */
  static async before(url: string): Promise<{ proxy: FaultyProxy; url: string }> {
    const through = new URL(url)
    const proxy = await FaultyProxy.start({ host: through.hostname, port: Number(through.port || 5432) })
    through.hostname = '127.0.0.1'
    through.port = String(proxy.port)
    return { proxy, url: through.href }
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get mode(): ProxyMode {
    return this.#mode
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode
    if (mode === 'reset') for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** How many connections of clients stand. */
  get connections(): number {
    return this.#sockets.size / 2
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    if (this.#mode === 'reset') {
      client.resetAndDestroy()
      return
    }
    const server = connect(this.#target)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (chunk) => void this.#hand(chunk, to))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        // Who hangs does not say that he is gone either.
        if (this.#mode !== 'hang') to.destroy()
      })
    }
  }

  async #hand(chunk: Buffer, to: Socket): Promise<void> {
    if (this.delay > 0) await sleep(this.delay)
    if (this.#mode === 'pass' && !to.destroyed) to.write(chunk)
  }
}
