import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { Environment, Variable } from './environment.ts'

/** What stands between callers and the service. */
export interface EdgeConfig {
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[]
  /** Origins whose pages may call. */
  readonly corsOrigins: readonly string[]
  /** Paths of PEM files; undefined: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** Administrative calls of one caller from one address, each minute. */
  readonly administrationPerMinute: number
  /** Calls of `/v1/authenticate` from one address, each minute. */
  readonly authenticationPerMinute: number
}

export const EDGE_VARIABLES = [
  {
    name: 'VERDICT_TLS_CERT',
    description: 'a PEM file with the certificate and its chain; absent: plain HTTP, for a proxy',
  },
  { name: 'VERDICT_TLS_KEY', description: 'the PEM file with its private key; both are read anew when they change' },
  {
    name: 'VERDICT_TRUSTED_PROXIES',
    description:
      'addresses and networks of proxies whose X-Forwarded-For is believed, as 10.0.0.7,10.1.0.0/16; absent: none',
  },
  {
    name: 'VERDICT_CORS_ORIGINS',
    description: 'origins whose pages may call, as https://admin.example.com; absent: none',
  },
  {
    name: 'VERDICT_ADMIN_PER_MINUTE',
    default: '6000',
    description: 'administrative calls of one caller from one address',
  },
  { name: 'VERDICT_AUTHENTICATE_PER_MINUTE', default: '60', description: 'calls of /v1/authenticate from one address' },
] as const satisfies readonly Variable[]

export function readEdge(read: Environment): EdgeConfig {
  return {
    trustedProxies: list(read, 'VERDICT_TRUSTED_PROXIES', isNetwork, 'is no address or network, as 10.1.0.0/16 is'),
    corsOrigins: list(read, 'VERDICT_CORS_ORIGINS', isOrigin, 'is no origin, as https://admin.example.com is'),
    tls: readTls(read),
    administrationPerMinute: read.integer('VERDICT_ADMIN_PER_MINUTE', 1, 1_000_000_000),
    authenticationPerMinute: read.integer('VERDICT_AUTHENTICATE_PER_MINUTE', 1, 1_000_000_000),
  }
}

function list(read: Environment, name: string, fits: (text: string) => boolean, complaint: string): string[] {
  const texts = (read.optional(name) ?? '').split(',').map((text) => text.trim())
  const given = texts.filter((text) => text !== '')
  for (const text of given) if (!fits(text)) read.complain(name, `holds "${text}", which ${complaint}`)
  return given
}

/** Not `*`, not a name, not "loopback": who is believed is written out. A network of everybody is nobody in particular. */
function isNetwork(text: string): boolean {
  const [address = '', bits, more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined) return false
  if (bits === undefined) return true
  return /^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128)
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text
}

function readTls(read: Environment): EdgeConfig['tls'] {
  const [cert, key] = [read.optional('VERDICT_TLS_CERT'), read.optional('VERDICT_TLS_KEY')]
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) {
    read.complain(cert === undefined ? 'VERDICT_TLS_CERT' : 'VERDICT_TLS_KEY', 'is required with the other of the two')
    return undefined
  }
  try {
    createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) })
  } catch (error) {
    read.complain(
      'VERDICT_TLS_CERT',
      `and VERDICT_TLS_KEY can't be used: ${error instanceof Error ? error.message : error}`,
    )
  }
  return { cert, key }
}
