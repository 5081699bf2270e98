import pg from 'pg'

/** Who a statement is for: a tenant, or `*`, which only what is for the whole deployment may be (see `Across`). */
export type Scope = string

export const ACROSS = '*'

const SCOPE = /^(?:[a-z0-9-]{1,63}|\*)$/

/** Nothing but a tenant's name may come into a statement's text. */
export function checkedScope(scope: Scope): Scope {
  if (!SCOPE.test(scope)) throw new TypeError('what is asked of the database is for no tenant')
  return scope
}

// It finds no row: what it is for happens on the way.
const SET = "select from set_config('verdict.tenant', $1, true) as scope where scope is null"

/** Tells a transaction whom it is for, in the same round trip in which it begins. */
export function scopedBegin(begin: string, scope: Scope): string {
  return `${begin}; select set_config('verdict.tenant', ${pg.escapeLiteral(scope)}, true)`
}

/**
 * A statement that brings along whom it is for. The two travel together and are one transaction, which ends with them:
 * no further round trip, and nothing stays behind on the connection, which may be a pooler's and somebody else's next.
 */
export function scopedQuery(client: pg.ClientBase, scope: Scope, text: string, values: unknown[]) {
  return new Promise<pg.QueryResult>((resolve, reject) => {
    const query = new pg.Query(extended(text, values), (error, result) => {
      if (error) reject(error)
      else resolve(lastOf(result))
    })
    const send = query.submit.bind(query)
    query.submit = (connection) => {
      connection.stream.cork()
      try {
        connection.parse({ name: '', text: SET, types: [] }, true)
        connection.bind({ values: [scope] }, true)
        connection.execute({}, true)
        return send(connection)
      } finally {
        connection.stream.uncork()
      }
    }
    client.query(query)
  })
}

/** A statement without values would go by the simple protocol, and be a transaction of its own. */
function extended(text: string, values: unknown[]): pg.QueryConfig & { queryMode: 'extended' } {
  return { text, values, queryMode: 'extended' }
}

function lastOf(result: pg.QueryResult | readonly pg.QueryResult[]): pg.QueryResult {
  const last = Array.isArray(result) ? result.at(-1) : result
  if (last === undefined) throw new Error('the driver answered with no result')
  return last
}
