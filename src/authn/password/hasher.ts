import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { Failure } from '../../failure.ts'
import type { HashTask } from './argon2.ts'
import { normalPassword } from './rules.ts'

export interface PasswordHasher {
  /** @returns a PHC string. Fails with `busy` where too many wait already. */
  hash(password: string): Promise<string>
  /** Whether the password is the one that was hashed; false too where the hash can't be read. Fails with `busy`. */
  verify(password: string, hash: string): Promise<boolean>
  /** Ends the threads. Who still waits fails with `shutting_down`. */
  close(): Promise<void>
}

interface Waiting {
  readonly task: HashTask
  readonly resolve: (result: string | boolean) => void
  readonly reject: (error: Error) => void
}

export interface HasherOptions {
  readonly threads?: number
  /** How many may wait, beyond those that are being hashed: 64 take about 1.6 s of one thread. */
  readonly queue?: number
}

// From source, as in tests, it is what the build made of it: Node runs no TypeScript in a worker before 22.
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/authn/password/worker.js' : './worker.js',
  import.meta.url,
)

/**
 * Argon2 in threads of its own. libuv's pool, where the library's own asynchronous calls would run, is what the
 * journal's `fdatasync` needs: there, a burst of logins would hold up every decision.
 */
export function passwordHasher(options: HasherOptions = {}): PasswordHasher {
  // One core is left to decisions.
  const { threads = Math.max(1, Math.min(2, availableParallelism() - 1)), queue = 64 } = options
  const waiting: Waiting[] = []
  const workers = new Set<Worker>()
  const idle: Worker[] = []
  let isClosed = false

  function run(task: HashTask): Promise<string | boolean> {
    if (isClosed) return Promise.reject(stopped())
    if (waiting.length >= queue) {
      return Promise.reject(
        new Failure('busy', 'too many passwords are being checked; try again soon', { retryAfter: 1 }),
      )
    }
    return new Promise((resolve, reject) => {
      waiting.push({ task, resolve, reject })
      next()
    })
  }

  function next(): void {
    while (waiting.length > 0) {
      const worker = idle.pop() ?? (workers.size < threads ? started() : undefined)
      if (worker === undefined) return
      const job = waiting.shift()
      if (job !== undefined) assign(worker, job)
    }
  }

  function assign(worker: Worker, { task, resolve, reject }: Waiting): void {
    const done = () => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      worker.unref()
    }
    const onMessage = (result: string | boolean) => {
      done()
      idle.push(worker)
      resolve(result)
      next()
    }
    const onError = (error: Error) => {
      done()
      reject(error)
    }
    const onExit = () => {
      done()
      reject(stopped())
    }
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    // Only while somebody waits for it does a thread keep the process alive.
    worker.ref()
    worker.postMessage(task)
  }

  function started(): Worker {
    const worker = new Worker(WORKER, { env: {}, resourceLimits: { maxOldGenerationSizeMb: 32 } })
    workers.add(worker)
    worker.unref()
    // A thread that dies takes its task with it; the next task starts another.
    worker.on('error', () => undefined)
    worker.on('exit', () => {
      workers.delete(worker)
      const place = idle.indexOf(worker)
      if (place >= 0) idle.splice(place, 1)
      if (!isClosed) next()
    })
    return worker
  }

  return {
    hash: async (password) => String(await run({ kind: 'hash', password: normalPassword(password) })),
    verify: async (password, hash) =>
      (await run({ kind: 'verify', password: normalPassword(password), hash })) === true,
    async close() {
      isClosed = true
      for (const { reject } of waiting.splice(0)) reject(stopped())
      await Promise.all([...workers].map((worker) => worker.terminate()))
    },
  }
}

function stopped(): Failure {
  return new Failure('shutting_down', 'this process is stopping')
}
