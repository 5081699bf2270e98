import { destination, type LoggerOptions, type Logger as PinoLogger, pino } from 'pino'
import { REMOVED, withoutCredentials } from './secrets.ts'

export type Logger = PinoLogger

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const SECRET_MEMBERS = [
  'authorization',
  'cookie',
  'api_key',
  'password',
  'current_password',
  'otp',
  'secret',
  'token',
  'access_token',
  'refresh_token',
  'context_token',
  'connectionString',
]

// A path names one depth. Three are as deep as we log objects: `password`, `body.password`, `req.headers.cookie`.
const SECRET_PATHS = SECRET_MEMBERS.flatMap((member) => [member, `*.${member}`, `*.*.${member}`])

// Texts (a message, a stack, a driver's words) have no paths, so secrets are also known by their looks: API keys and
// tokens, what follows Bearer, the password in a URL. None of them spans a quote, so that a line stays the JSON that
// it was.
const BEARER = /(\bbearer )[^\s"\\]+/gi
const URL_PASSWORD = /(\b[a-z]+:\/\/[^\s:@/"\\]*:)[^\s@/"\\]+@/gi

/** The line without the secrets that stand in it. */
export function withoutSecrets(line: string): string {
  return withoutCredentials(line).replace(BEARER, `$1${REMOVED}`).replace(URL_PASSWORD, `$1${REMOVED}@`)
}

/**
 * What a log says of an error. A driver's errors carry their whole connection with them, which is pages long and nobody's
 * business.
 */
function asError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const code = 'code' in error ? { code: error.code } : {}
  return { name, message, ...code, stack, ...(cause === undefined ? {} : { cause: asError(cause) }) }
}

/** How the process logs: JSON lines, times in RFC 3339, never a secret. */
export function loggerOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: asError },
    redact: { paths: SECRET_PATHS, censor: REMOVED },
    hooks: { streamWrite: withoutSecrets },
  }
}

/** The process's log, on standard output unless another stream is given. Nothing is logged per request at `info`. */
export function createLogger(level: LogLevel, stream: NodeJS.WritableStream | undefined = undefined): Logger {
  // Written synchronously: the last line before a crash is the one that matters, and lines are few.
  return pino(loggerOptions(level), stream ?? destination({ sync: true }))
}
