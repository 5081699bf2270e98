import { readConfig } from '../config.ts'
import { serveWithWorkers } from '../serve/workers.ts'
import { serve } from '../serve.ts'
import { EXIT, type Io } from './io.ts'

// A stop takes less than 10 s: whatever it closes is bounded. What still holds the process after that, a start that is
// stuck included, is a fault, and is not waited for.
const STOP_DEADLINE = 9_900
/** Everything is closed: a handle that is left, to a database that hangs, say, holds nothing that is worth a wait. */
const LINGER = 200

/** Runs the service until SIGTERM or SIGINT, then closes it. */
export async function serveUntilSignal(io: Io): Promise<number> {
  const config = readConfig(io.env)
  const stop = stopSignal()
  const service = config.workers > 1 ? await serveWithWorkers(config, io) : await serve(config, io)
  if (io.stdout.isTTY === true) io.stdout.write(`Verdict answers at ${service.url} (Ctrl-C stops it)\n`)
  await stop
  await service.close()
  setTimeout(() => process.exit(EXIT.ok), LINGER).unref()
  return EXIT.ok
}

/**
 * The first signal. Further ones change nothing: under `npm start`, one Ctrl-C arrives twice, from the terminal and
 * from npm, and the second must not cut short what the first began.
 */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      setTimeout(() => process.exit(EXIT.error), STOP_DEADLINE).unref()
      resolve()
    }
    process.on('SIGTERM', stop).on('SIGINT', stop)
  })
}
