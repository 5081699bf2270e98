import fastify from 'fastify'
import { authorize } from '../../src/contract/authorize.ts'
import { Problem } from '../../src/contract/common.ts'
import { ANSWER } from './answer.ts'

// The least that Fastify can do with the same body and the same answer: both by the contract's schemas, no work between.
const app = fastify()
app.addSchema(Problem)
app.post(
  '/v1/authorize',
  { schema: { body: authorize.schema.body, response: authorize.schema.response } },
  async () => ANSWER,
)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${url}\n`)
process.on('SIGTERM', () => void app.close())
