import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLogger, type LogLevel } from '../../src/telemetry/logger.ts'

const SECRET = 'c0ffee'.repeat(8)

function logged(level: LogLevel, write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  write(createLogger(level, stream))
  return lines.join('')
}

test.each([
  ['a member at the top', { password: SECRET }],
  ['a member one below', { body: { api_key: SECRET } }],
  ['a header', { req: { headers: { authorization: `Bearer ${SECRET}` } } }],
  ['a header whose case differs', { note: `BEARER ${SECRET}` }],
  ['an API key in a text', { note: `key vdt_ops1_${SECRET} refused` }],
  ['a token in a text', { note: `token eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.${SECRET}` }],
  ['a password in a URL', { url: `postgres://verdict:${SECRET}@db:5432/verdict` }],
  ['what an error says', { err: new Error(`no login with vdt_ops1_${SECRET}`) }],
  ['the cause of an error', { err: new Error('no login', { cause: new Error(`postgres://u:${SECRET}@db/x`) }) }],
])('a secret never reaches the log: %s', (_title, object) => {
  const text = logged('info', (logger) => logger.info(object, 'said'))
  expect(text).not.toContain(SECRET)
  expect(JSON.parse(text)).toMatchObject({ level: 'info', msg: 'said' })
})

test('a line stays JSON where a secret ends at a quote', () => {
  const text = logged('info', (logger) => logger.info({ note: `said "Bearer ${SECRET}" and \\ more` }, 'said'))
  expect(text).not.toContain(SECRET)
  expect(JSON.parse(text).note).toBe('said "Bearer [redacted]" and \\ more')
})

test('the id of an API key stays readable, so that a refused key can be found', () => {
  expect(logged('info', (logger) => logger.warn(`vdt_ops1_${SECRET}`))).toContain('vdt_ops1_[redacted]')
})

test('what stands below the level is not written', () => {
  expect(logged('warn', (logger) => logger.info('said'))).toBe('')
  expect(logged('silent', (logger) => logger.fatal('said'))).toBe('')
})

test('a line bears its time in RFC 3339', () => {
  const { time } = JSON.parse(logged('info', (logger) => logger.info('said')))
  expect(new Date(time).toISOString()).toBe(time)
})
