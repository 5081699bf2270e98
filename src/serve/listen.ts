import type { Config } from '../config.ts'
import { Failure } from '../failure.ts'

/** @returns where it answers. */
export async function listen(app: { listen(options: object): Promise<string> }, config: Config): Promise<string> {
  const { host, port, edge } = config
  // Fastify knows of no TLS but its own.
  const url = (address: string) => (edge.tls === undefined ? address : address.replace(/^http:/, 'https:'))
  try {
    return url(
      await app.listen({ host, port, listenTextResolver: (address: string) => `Verdict answers at ${url(address)}` }),
    )
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    const why = code === 'EADDRINUSE' ? 'the port is in use' : code
    throw new Failure('unsafe_configuration', `can't listen on ${host}:${port}: ${why}`, { cause })
  }
}
