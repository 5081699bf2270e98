import cluster, { type Cluster } from 'node:cluster'
import { AggregatorRegistry, type Registry } from 'prom-client'

// Whoever asks one of several workers for its metrics gets those of all, added up by the process that started them.

interface Asked {
  readonly verdict: 'metrics'
  readonly id: number
}

type Told = Asked & ({ readonly text: string } | { readonly error: string })

const PATIENCE_MS = 5_000

/** In the process that has the workers: answers each that asks for everybody's metrics. */
export function answerForAll(workers: Cluster): void {
  const all = new AggregatorRegistry()
  workers.on('message', async (worker, message: unknown) => {
    if (!isAsked(message)) return
    const { verdict, id } = message
    const told = await all.clusterMetrics().then(
      (text): Told => ({ verdict, id, text }),
      (error: unknown): Told => ({ verdict, id, error: String(error) }),
    )
    if (worker.isConnected()) worker.send(told)
  })
}

/** In a worker: everybody's metrics. undefined: this process is none. */
export function metricsOfAll(own: Registry): (() => Promise<string>) | undefined {
  const { send } = process
  if (!cluster.isWorker || send === undefined) return undefined
  AggregatorRegistry.setRegistries([own])
  // It is what answers when the others' metrics are asked for.
  new AggregatorRegistry()
  const waiting = new Map<number, (told: Told) => void>()
  let last = 0
  process.on('message', (message: unknown) => {
    if (isTold(message)) waiting.get(message.id)?.(message)
  })
  return () =>
    new Promise((resolve, reject) => {
      const id = ++last
      const done = (told: Told | undefined) => {
        clearTimeout(timer)
        waiting.delete(id)
        if (told !== undefined && 'text' in told) resolve(told.text)
        else reject(new Error(`the metrics of all workers are not to be had: ${told?.error ?? 'no answer'}`))
      }
      const timer = setTimeout(() => done(undefined), PATIENCE_MS)
      waiting.set(id, done)
      process.send?.({ verdict: 'metrics', id } satisfies Asked)
    })
}

function isAsked(message: unknown): message is Asked {
  return typeof message === 'object' && message !== null && 'verdict' in message && message.verdict === 'metrics'
}

function isTold(message: unknown): message is Told {
  return isAsked(message) && ('text' in message || 'error' in message)
}
