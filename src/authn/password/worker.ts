import { parentPort } from 'node:worker_threads'
import { type HashTask, perform } from './argon2.ts'

/** Hashes passwords in a thread of its own, one after the other. */

parentPort?.on('message', (task: HashTask) => {
  parentPort?.postMessage(perform(task))
})
