import type { FastifyReply } from 'fastify'
import * as contract from '../../contract/access.ts'
import { type App, HEAD } from '../server.ts'

/** In seconds. What it says changes with a new version or another public URL. */
const MAX_AGE = 3600

/**
 * Where the endpoints are, told to anybody. An identifier is the public URL, or that with a tenant behind it; the endpoints
 * are the same, since whose tenant a question is about is said by its credential.
 *
 * Of an identifier with a path, the path follows `/.well-known/authzen-configuration` (RFC 8615). So where the public URL
 * has one, it is answered there too, before any tenant that is called like it: a proxy passes such a path as it is.
 */
export function metadataRoutes(app: App, publicUrl: string): void {
  const { metadata, tenantMetadata } = contract
  app.route({ ...metadata, ...HEAD, handler: async (_request, reply) => configuration(reply, publicUrl) })
  app.route({
    ...tenantMetadata,
    ...HEAD,
    handler: async ({ params }, reply) => configuration(reply, publicUrl, params.tenant),
  })
  const path = new URL(publicUrl).pathname
  if (path === '/') return
  const at = <T extends { readonly schema: object }>(route: T, url: string) => ({
    ...route,
    ...HEAD,
    url,
    schema: { ...route.schema, hide: true },
  })
  app.route({
    ...at(metadata, `${metadata.url}${path}`),
    handler: async (_request, reply) => configuration(reply, publicUrl),
  })
  app.route({
    ...at(tenantMetadata, `${metadata.url}${path}/:tenant`),
    handler: async ({ params }, reply) => configuration(reply, publicUrl, params.tenant),
  })
}

function configuration(reply: FastifyReply, publicUrl: string, tenant?: string): object {
  reply.header('cache-control', `public, max-age=${MAX_AGE}`)
  const endpoints = Object.entries(contract.ACCESS_ENDPOINTS).map(([member, path]) => [member, `${publicUrl}${path}`])
  return {
    policy_decision_point: tenant === undefined ? publicUrl : `${publicUrl}/${tenant}`,
    ...Object.fromEntries(endpoints),
  }
}
