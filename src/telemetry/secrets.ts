export const REMOVED = '[redacted]'

// What follows the id of an API key or the tenant of a refresh token, and a JWT. A look behind, not \b: `eyJ-eyJ-…` would be searched from each of its
// beginnings to its end. None of them spans a quote, so that JSON stays JSON.
const API_KEY = /(vdt_[a-z0-9]{4,32}_)[\w-]{16,}/g
const REFRESH_TOKEN = /(vdr_[a-z0-9-]{1,63}_)[\w-]{16,}/g
const JWT = /(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*/g

/** The text without the API keys and tokens that stand in it, wherever they stand: they are known by their looks. */
export function withoutCredentials(text: string): string {
  if (!text.includes('vdt_') && !text.includes('vdr_') && !text.includes('eyJ')) return text
  return text.replace(API_KEY, `$1${REMOVED}`).replace(REFRESH_TOKEN, `$1${REMOVED}`).replace(JWT, REMOVED)
}
