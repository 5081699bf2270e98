import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PROJECT } from '../soak/program.ts'

/** A folder of a bench's own, and what it started: both are gone in the end, after Ctrl-C too. */
export class Room {
  readonly folder: string
  readonly #closers: (() => Promise<unknown>)[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  /** @param bytes that it will take on the disk at most. */
  static async with<T>(name: string, bytes: number, work: (room: Room) => Promise<T>): Promise<T> {
    // What is measured is what stands here, not what was built some time ago.
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: PROJECT, stdio: ['ignore', 'inherit', 'inherit'] })
    const { bavail, bsize } = await statfs(tmpdir())
    if (bavail * bsize < bytes) throw new Error(`${tmpdir()} has less than ${Math.ceil(bytes / 2 ** 30)} GiB free`)
    const room = new Room(await mkdtemp(join(tmpdir(), `verdict-bench-${name}-`)))
    // Root's Postgres runs as another user, who passes through.
    await chmod(room.folder, 0o711)
    const interrupted = new AbortController()
    const stop = () => interrupted.abort(new Error('interrupted'))
    process.once('SIGINT', stop).once('SIGTERM', stop)
    try {
      return await Promise.race([work(room), aborted(interrupted.signal)])
    } finally {
      process.off('SIGINT', stop).off('SIGTERM', stop)
      await room.#close()
    }
  }

  /** Closed in the end, in reverse. */
  add(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  async #close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close().catch((error: unknown) => console.error(error))
    await rm(this.folder, { recursive: true, force: true })
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}
