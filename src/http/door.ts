import { Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { App } from './server.ts'

/** Longer than a request is on its way, from a client that has not heard yet. */
const QUIET_MS = 100
/** How long answers may be held up while the door closes, and how long nobody must have come for it to close. */
const HOLD_MS = 1_000
const CALM_MS = 25
const LOOK_MS = 10

/**
 * Closes a server without losing a request that somebody has sent.
 *
 * Two moments lose some. When a listening socket closes, connections that the kernel has made and nobody has taken
 * are reset, and clients that were just told `connection: close` come back with new ones all the time: so the answers
 * wait, for a moment, until nobody comes any more and the socket is closed. And a kept-alive connection that is
 * closed for being idle may have a request on its way: so they are closed once all of them are quiet.
 */
export class Door {
  readonly #app: App
  readonly #sockets = new Set<Socket>()
  #arrivals = 0
  #closed: Promise<void> | undefined

  /** To be made before the routes are added. */
  constructor(app: App) {
    this.#app = app
    app.server.on('connection', (socket: Socket) => {
      this.#arrivals++
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    app.addHook('onSend', (_request, _reply, payload, done) => {
      if (this.#closed === undefined) return done(null, payload)
      this.#closed.then(() => done(null, payload))
    })
  }

  /** Stops accepting, lets what is under way be answered, and closes; after `ms`, with whatever is left. */
  async close(ms: number): Promise<void> {
    const until = Date.now() + ms
    await this.#stopAccepting(Math.min(until, Date.now() + HOLD_MS))
    await this.#settled(QUIET_MS, until, () => (this.#sockets.size === 0 ? undefined : this.#bytesRead()))
    await Promise.race([this.#app.close(), pause(Math.max(0, until - Date.now()), undefined, { ref: false })])
    this.#app.server.closeAllConnections()
  }

  async #stopAccepting(until: number): Promise<void> {
    let release = () => {}
    this.#closed = new Promise((resolve) => {
      release = resolve
    })
    await this.#settled(CALM_MS, until, () => this.#arrivals)
    // Right after a turn in which whoever was waiting has been taken.
    await new Promise((resolve) => setImmediate(resolve))
    // Not that of the HTTP server, which would close idle connections too.
    Server.prototype.close.call(this.#app.server)
    this.#closed = undefined
    release()
  }

  /**
   * Waits until a number has not changed for `calm` ms, or is none any more; until `until` at the latest. Counted in
   * looks: a process that did not get to run for a while has seen nobody come, and that says nothing.
   */
  async #settled(calm: number, until: number, read: () => number | undefined): Promise<void> {
    let seen = read()
    let quiet = 0
    while (seen !== undefined && quiet < calm && Date.now() < until) {
      await pause(LOOK_MS)
      const now = read()
      quiet = now === seen ? quiet + LOOK_MS : 0
      seen = now
    }
  }

  #bytesRead(): number {
    let sum = 0
    for (const { bytesRead } of this.#sockets) sum += bytesRead
    return sum
  }
}
