import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer, type ServerOptions } from 'node:https'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

const LOOK_MS = 5_000

/** A server that reads its certificate anew when one of the files changes; one that can't be used is not taken. */
export function tlsServer(
  { cert, key }: TlsFiles,
  options: ServerOptions,
  listener: RequestListener,
  told: (error: unknown | undefined) => void,
): HttpsServer {
  const read = () => ({ cert: readFileSync(cert), key: readFileSync(key) })
  const server = createHttpsServer({ ...options, ...read(), minVersion: 'TLSv1.2' }, listener)
  const renew = () => {
    try {
      server.setSecureContext(read())
      told(undefined)
    } catch (error) {
      told(error)
    }
  }
  // Asked for, not waited for: mounts and renamed folders lose events.
  const watch = { interval: LOOK_MS, persistent: false }
  for (const file of [cert, key]) watchFile(file, watch, renew)
  process.on('SIGHUP', renew)
  server.once('close', () => {
    for (const file of [cert, key]) unwatchFile(file, renew)
    process.off('SIGHUP', renew)
  })
  return server
}
