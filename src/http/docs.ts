import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** Where the API's document is to be read. Its files come with Verdict: a browser needs nothing from elsewhere. */
export const DOCS = '/docs'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><text x="0" y="28" fill="#fff"
  font-family="sans-serif" font-size="26" font-weight="bold">Verdict</text></svg>`

/** Pages in which the API's document is read, and its calls are tried. */
export async function documentationPages(app: FastifyInstance): Promise<void> {
  await app.register(swaggerUi, {
    routePrefix: DOCS,
    staticCSP: POLICY,
    validatorUrl: false,
    uiConfig: { docExpansion: 'list', deepLinking: true, filter: true },
    logo: { type: 'image/svg+xml', content: Buffer.from(LOGO) },
    theme: { title: 'Verdict: the API' },
  })
}
