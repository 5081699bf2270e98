import Type from 'typebox'
import { EntityRef, Identifier } from '../policy/model.ts'
import {
  closed,
  EntityParams,
  Gone,
  Nullable,
  page,
  pageQuery,
  problems,
  ReadHeaders,
  type RouteConfig,
  readProblems,
  stored,
  Uuid,
  WriteHeaders,
  writeProblems,
} from './common.ts'

/** By `pdp:admin`, or by oneself. */
const config = { permission: { type: 'pdp:credential', action: 'pdp:write' }, own: true } satisfies RouteConfig
const reading = { permission: { type: 'pdp:credential', action: 'pdp:read' }, own: true } satisfies RouteConfig

const CurrentPassword = Type.String({
  minLength: 1,
  maxLength: 4_000,
  description: 'Of who does it to itself.',
})

const Code = Type.String({ minLength: 6, maxLength: 64 })

// A key would be kept with a hash of the body, which holds a password: and what is done here can be done again.
const { 'idempotency-key': _key, ...headers } = WriteHeaders.properties
const Headers = Type.Object(headers)

const answers = { ...writeProblems, ...problems(429) }

export const getCredentials = {
  method: 'GET',
  url: '/v1/credentials/:type/:id',
  config: reading,
  schema: {
    operationId: 'getCredentials',
    tags: ['Credentials'],
    summary: 'What somebody has to log in with; never a secret',
    description: 'Who has nothing, or is nobody, gets the same answer: nothing.',
    headers: ReadHeaders,
    params: EntityParams,
    response: {
      200: Type.Object({
        subject: EntityRef,
        password: Nullable(Type.Object({ username: Type.String(), ...stored })),
        totp: Nullable(
          Type.Object({
            confirmed: Type.Boolean({ description: 'Whether logins ask for it.' }),
            pending: Type.Boolean({ description: 'A secret was given out that nobody has confirmed yet.' }),
            recovery_codes_left: Type.Integer(),
            ...stored,
          }),
        ),
        sessions: Type.Integer({ description: 'How many have not ended.' }),
      }),
      ...readProblems,
    },
  },
} as const

export const putPassword = {
  method: 'PUT',
  url: '/v1/credentials/:type/:id/password',
  config,
  schema: {
    operationId: 'putPassword',
    tags: ['Credentials'],
    summary: "Set a person's password; it ends their sessions",
    description: 'Set by oneself, it leaves the session that it was set in. `Idempotency-Key` is not heeded.',
    headers: Headers,
    params: EntityParams,
    body: Type.Object(
      {
        password: Type.String({
          minLength: 1,
          maxLength: 4_000,
          description: '12 to 1,000 characters (after NFKC), neither common nor the name of its owner or the tenant.',
        }),
        // What its owner logs in with; left out, it stays, or is the id. Unique in the tenant, whatever the case.
        username: Type.Optional(Identifier),
        current_password: Type.Optional(CurrentPassword),
      },
      closed,
    ),
    response: {
      200: Type.Object({ subject: EntityRef, username: Type.String(), ...stored }),
      201: Type.Object({ subject: EntityRef, username: Type.String(), ...stored }),
      ...answers,
    },
  },
} as const

export const deletePassword = {
  method: 'DELETE',
  url: '/v1/credentials/:type/:id/password',
  config: { ...config, body: 'optional' } satisfies RouteConfig,
  schema: {
    operationId: 'deletePassword',
    tags: ['Credentials'],
    summary: "Delete a person's password; it ends their sessions",
    headers: Headers,
    params: EntityParams,
    body: Type.Object({ current_password: Type.Optional(CurrentPassword) }, closed),
    response: { 204: Gone, ...answers },
  },
} as const

export const putTotp = {
  method: 'PUT',
  url: '/v1/credentials/:type/:id/totp',
  config: { ...config, body: 'optional' } satisfies RouteConfig,
  schema: {
    operationId: 'putTotp',
    tags: ['Credentials'],
    summary: 'Enrol a second factor, or confirm it with a code',
    description:
      'Without `code` it makes a secret and shows it this once; with a code of that secret it is confirmed, asked for ' +
      'at every login from then on, and the recovery codes are shown this once. A secret that is not confirmed leaves ' +
      'the one before it in force. `Idempotency-Key` is not heeded.',
    headers: Headers,
    params: EntityParams,
    body: Type.Object({ code: Type.Optional(Code), current_password: Type.Optional(CurrentPassword) }, closed),
    response: {
      200: Type.Object({
        confirmed: Type.Boolean(),
        secret: Type.Optional(Type.String({ description: 'In base32.' })),
        otpauth_uri: Type.Optional(Type.String()),
        recovery_codes: Type.Optional(Type.Array(Type.String())),
      }),
      ...answers,
    },
  },
} as const

export const deleteTotp = {
  method: 'DELETE',
  url: '/v1/credentials/:type/:id/totp',
  config: { ...config, body: 'optional' } satisfies RouteConfig,
  schema: {
    operationId: 'deleteTotp',
    tags: ['Credentials'],
    summary: "Delete a person's second factor",
    description: 'By oneself: with a code of it (or a recovery code), or with the password.',
    headers: Headers,
    params: EntityParams,
    body: Type.Object({ code: Type.Optional(Code), current_password: Type.Optional(CurrentPassword) }, closed),
    response: { 204: Gone, ...answers },
  },
} as const

export const deleteSessions = {
  method: 'DELETE',
  url: '/v1/credentials/:type/:id/sessions',
  config: { ...config, revokes: true } satisfies RouteConfig,
  schema: {
    operationId: 'deleteSessions',
    tags: ['Credentials'],
    summary: 'End all sessions of a person',
    headers: Headers,
    params: EntityParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

const Session = Type.Object({
  id: Type.String(),
  method: Type.String({ description: 'By which it was opened.' }),
  created_at: Type.String({ format: 'date-time' }),
  used_at: Type.String({ format: 'date-time', description: 'When it was last refreshed.' }),
  expires_at: Type.String({ format: 'date-time', description: 'When it ends at the latest.' }),
})

export const listSessions = {
  method: 'GET',
  url: '/v1/credentials/:type/:id/sessions',
  config: reading,
  schema: {
    operationId: 'listSessions',
    tags: ['Credentials'],
    summary: 'List the sessions of a person that have not ended, newest first',
    headers: ReadHeaders,
    params: EntityParams,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(Session), ...readProblems },
  },
} as const

export const deleteSession = {
  method: 'DELETE',
  url: '/v1/credentials/:type/:id/sessions/:session',
  config: { ...config, revokes: true } satisfies RouteConfig,
  schema: {
    operationId: 'deleteSession',
    tags: ['Credentials'],
    summary: 'End one session of a person',
    headers: Headers,
    params: Type.Object({ ...EntityParams.properties, session: Uuid }),
    response: { 204: Gone, ...writeProblems },
  },
} as const
