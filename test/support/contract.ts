import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { Problem } from '../../src/contract/common.ts'
import { ROUTES } from '../../src/contract/routes.ts'

// Answers are typed by hand on the way out, so each that a test sees is held against what its route promises.
const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema(Problem, 'Problem')

const routes = ROUTES.map((route) => ({
  method: route.method,
  path: new RegExp(`^${route.url.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/?]+')}(\\?|$)`),
  fixed: !route.url.includes(':'),
  responses: new Map(Object.entries(route.schema.response).map(([status, schema]) => [Number(status), schema])),
}))

export function assertContract(
  method: string,
  path: string,
  answer: { status: number; headers: Headers; body: unknown },
) {
  const matching = routes.filter((route) => route.method === method && route.path.test(path))
  const route = matching.find(({ fixed }) => fixed) ?? matching[0]
  if (answer.headers.get('x-request-id') === null) throw new Error(`${method} ${path}: no X-Request-ID`)
  if (route === undefined) return
  if (answer.status >= 400 && !(path === '/readyz')) return assertShape(Problem, answer, `${method} ${path}`)
  const schema = route.responses.get(answer.status)
  if (schema === undefined)
    throw new Error(`${method} ${path} answered ${answer.status}, which its route does not declare`)
  if (answer.status === 204 || path.startsWith('/metrics')) return
  assertShape(schema, answer, `${method} ${path}`)
}

function assertShape(schema: object, { status, body }: { status: number; body: unknown }, what: string): void {
  const validate = ajv.compile(schema)
  if (validate(body)) return
  throw new Error(
    `${what} answered ${status} with another shape than promised: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`,
  )
}
