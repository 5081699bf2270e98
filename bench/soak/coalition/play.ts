import { type Call, Dice, LISTED, type Ref, randomCall, type World } from './calls.ts'

/** Who asks, and with what. */
export interface Member {
  readonly subject: Ref
  readonly key: string
  /** What it is given in the beginning. */
  readonly roles: readonly string[]
}

export interface Reply {
  readonly status: number
  readonly body: unknown
}

/** Sends one call with a key. */
export type Send = (call: Call, key: string) => Promise<Reply>

export interface Played {
  readonly calls: number
  /** How many answers had which status. */
  readonly statuses: Readonly<Record<number, number>>
  /** What they came to hold that none of them held. Empty, or something is wrong. */
  readonly reached: readonly string[]
}

const TYPES =
  'decision tenant settings type policy role rule quota entity assignment capability permission_request bundle change api_key audit issuer credential context'
const ACTIONS = ['pdp:decide', 'pdp:explain', 'pdp:read', 'pdp:write', 'pdp:approve', 'pdp:refund']

/**
 * A coalition of callers without `pdp:admin` tries everything that gives rights to somebody, in a random order that the
 * seed fixes. Every so many calls it is asked what each of them holds now, and what each could do.
 */
export async function play(
  send: Send,
  members: readonly [Member, ...Member[]],
  oracle: Member,
  holders: readonly [Ref, ...Ref[]],
  { seed, calls, every = 100 }: { readonly seed: number; readonly calls: number; readonly every?: number },
): Promise<Played> {
  const dice = new Dice(seed)
  const statuses: Record<number, number> = {}
  const [first, ...rest] = members
  const world: World = {
    members: [first.subject, ...rest.map(({ subject }) => subject)],
    holders,
    ids: { assignments: [], 'api-keys': [], capabilities: [], 'permission-requests': [], contexts: [] },
  }
  const before = await holdings(send, members, oracle, holders)
  const reached = new Set<string>()
  const look = async () => {
    for (const held of await holdings(send, members, oracle, holders)) if (!before.has(held)) reached.add(held)
  }
  for (let made = 1; made <= calls && reached.size === 0; made++) {
    const call = randomCall(dice, world)
    const { status, body } = await send(call, caller(dice, members).key)
    statuses[status] = (statuses[status] ?? 0) + 1
    learn(world, call, body)
    if (status < 300 && /^\/v1\/(api-keys|settings|tenants|issuers|credentials)/.test(call.path))
      reached.add(`${call.method} ${call.path}`)
    if (made % every === 0 || made === calls) await look()
  }
  return { calls, statuses, reached: [...reached] }
}

/** Half of the time somebody who may write policy: who may do nothing is refused whatever it tries. */
function caller(dice: Dice, members: readonly [Member, ...Member[]]): Member {
  const writers = members.filter(({ roles }) => roles.includes('pdp:policy_admin'))
  const [first, ...rest] = writers
  return first === undefined || dice.is(0.5) ? dice.of(members) : dice.of([first, ...rest])
}

/** Ids in answers are there for everybody in the coalition to use. */
function learn({ ids }: World, { path }: Call, body: unknown): void {
  const listed = LISTED.find((one) => path.startsWith(`/v1/${one}`))
  if (listed === undefined || typeof body !== 'object' || body === null) return
  const list = ids[listed]
  const found = 'items' in body && Array.isArray(body.items) ? body.items : [body]
  for (const one of found) if (typeof one?.id === 'string' && !list.includes(one.id)) list.push(one.id)
}

/**
 * What everybody holds, said by the service: the built-in roles of each key, what the policy `pdp` decides about each
 * subject, and who is given built-in roles (which an admin reads).
 */
async function holdings(
  send: Send,
  members: readonly Member[],
  oracle: Member,
  holders: readonly Ref[],
): Promise<ReadonlySet<string>> {
  const held = new Set<string>()
  const get = (path: string) => ({ method: 'GET', path, headers: {} })
  for (const { subject, key } of members) {
    const { body } = await send(get('/v1/authenticate/me'), key)
    for (const role of listOf(body, 'roles')) held.add(`${subject.id} holds ${role}`)
  }
  for (const path of ['/v1/assignments?limit=1000', '/v1/api-keys?limit=1000']) {
    for (const one of listOf((await send(get(path), oracle.key)).body, 'items')) {
      const text = JSON.stringify(one, ['subject', 'type', 'id', 'role', 'roles'])
      if (text.includes('"pdp:') || path.includes('api-keys')) held.add(text)
    }
  }
  const subjects = [...members.map(({ subject }) => subject), ...holders, ...STRANGERS]
  for (const subject of subjects) for (const may of await mayDo(send, oracle, subject)) held.add(may)
  return held
}

const STRANGERS = [0, 1, 2, 3].map((n) => ({ type: 'user', id: `u${n}` }))

async function mayDo(send: Send, oracle: Member, subject: Ref): Promise<string[]> {
  const asked = TYPES.split(' ').flatMap((type) => ACTIONS.map((name) => ({ type: `pdp:${type}`, name })))
  const evaluations = asked.map(({ type, name }) => ({ action: { name }, resource: { type, id: 'x' } }))
  const body = { subject, evaluations }
  const reply = await send({ method: 'POST', path: '/v1/authorize/batch', body, headers: {} }, oracle.key)
  const answers = listOf(reply.body, 'evaluations')
  // Whatever is no clear deny counts.
  return asked.flatMap(({ type, name }, place) =>
    isDeny(answers[place]) ? [] : [`${subject.type} ${subject.id} may ${name} ${type} (${reply.status})`],
  )
}

function isDeny(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'decision' in answer && answer.decision === false
}

function listOf(body: unknown, member: string): unknown[] {
  const list =
    typeof body === 'object' && body !== null ? Object.entries(body).find(([name]) => name === member) : undefined
  return Array.isArray(list?.[1]) ? list[1] : []
}
