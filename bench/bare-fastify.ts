import fastify from 'fastify'
import { authorize } from '../src/contract/authorize.ts'
import { Problem } from '../src/contract/common.ts'

// The least that Fastify can do with the same body and the same answer: both by the contract's schemas, no work between.
const answer = {
  decision: true,
  context: {
    decision_id: '0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000',
    reason: 'allowed_by_rule',
    rules: ['default/owner-reads'],
    obligations: [],
    revision: 3,
  },
}

const app = fastify()
app.addSchema(Problem)
app.post(
  '/v1/authorize',
  { schema: { body: authorize.schema.body, response: authorize.schema.response } },
  async () => answer,
)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${url}\n`)
process.on('SIGTERM', () => void app.close())
