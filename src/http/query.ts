import type { FastifyInstance } from 'fastify'
import { Failure, type Problem } from '../failure.ts'
import { escaped } from '../policy/json.ts'

/** What can't be decoded would be read as it stands: a filter would ask for another name than its writer means. */
export function readQueries(app: FastifyInstance): void {
  // After the guard, so that who is nobody learns nothing.
  app.addHook('preValidation', (request, _reply, done) => {
    const at = request.url.indexOf('?')
    if (at === -1 || request.routeOptions.schema?.querystring === undefined) return done()
    const problems = undecodable(request.url.slice(at + 1))
    if (problems.length === 0) done()
    else done(new Failure('invalid_request', 'the query is not UTF-8 in percent-encoding', { problems }))
  })
}

const MAX_PROBLEMS = 100

function undecodable(query: string): Problem[] {
  const bad = query.split('&').filter((part) => decoded(part) === undefined)
  return bad.slice(0, MAX_PROBLEMS).map((part) => {
    const name = decoded(part.split('=', 1)[0] ?? '')
    const pointer = name === undefined ? '' : `/${escaped(name)}`
    return { pointer, detail: 'query: is not UTF-8 in percent-encoding' }
  })
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
