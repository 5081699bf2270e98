export const REMOVED = '[redacted]'

// What follows the id of an API key or the tenant of a refresh token, and a JWT. None of them spans a quote, so that JSON
// stays JSON. A JWT may stand right behind letters: those of an escape (`\n`, `%3D`) do, in JSON and in a query. So a whole run of
// them is taken, once (`eyJ-eyJ-…` would else be searched from each of its beginnings to its end), and what is before `eyJ` is kept.
const API_KEY = /(vdt_[a-z0-9]{4,32}_)[\w-]{16,}/g
const REFRESH_TOKEN = /(vdr_[a-z0-9-]{1,63}_)[\w-]{16,}/g
const JWT = /(?<![\w-])(?=[\w-]*?eyJ[\w-])[\w-]+\.[\w-]+\.[\w-]*/g

/** The text without the API keys and tokens that stand in it, wherever they stand: they are known by their looks. */
export function withoutCredentials(text: string): string {
  if (!text.includes('vdt_') && !text.includes('vdr_') && !text.includes('eyJ')) return text
  return text
    .replace(API_KEY, `$1${REMOVED}`)
    .replace(REFRESH_TOKEN, `$1${REMOVED}`)
    .replace(JWT, (run) => run.slice(0, run.indexOf('eyJ')) + REMOVED)
}
