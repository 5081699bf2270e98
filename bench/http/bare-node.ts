import { createServer } from 'node:http'
import { ANSWER } from './answer.ts'

// The least that Node can do: the body is read as JSON, and an answer is written. No schemas, no routes.
const server = createServer((request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => {
    const { subject }: { readonly subject?: unknown } = JSON.parse(Buffer.concat(pieces).toString())
    const text = JSON.stringify(ANSWER)
    const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }
    response.writeHead(subject === undefined ? 400 : 200, headers)
    response.end(text)
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object') process.stdout.write(`http://127.0.0.1:${address?.port}\n`)
})
process.on('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
