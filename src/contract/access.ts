import Type, { type Static } from 'typebox'
import { problems, type RouteConfig } from './common.ts'

/** What every question of the AuthZEN API asks of its caller. */
export const accessConfig = {
  permission: { type: 'pdp:decision', action: 'pdp:decide' },
  suspended: 'answers',
} as const satisfies RouteConfig

/** What they may answer beside their success. A body in another format is malformed here, as AuthZEN wants it. */
export const accessProblems = problems(400, 401, 403, 413, 429, 503)

/** Where each of its endpoints is, by its member in the metadata: what stands here is offered. */
export const ACCESS_ENDPOINTS = {
  access_evaluation_endpoint: '/access/v1/evaluation',
  access_evaluations_endpoint: '/access/v1/evaluations',
  search_subject_endpoint: '/access/v1/search/subject',
  search_resource_endpoint: '/access/v1/search/resource',
  search_action_endpoint: '/access/v1/search/action',
} as const

const Url = Type.String({ format: 'uri' })

/** Members without a value are left out, never null or empty. */
export const AuthzenConfiguration = Type.Object({
  policy_decision_point: Url,
  access_evaluation_endpoint: Url,
  access_evaluations_endpoint: Type.Optional(Url),
  search_subject_endpoint: Type.Optional(Url),
  search_resource_endpoint: Type.Optional(Url),
  search_action_endpoint: Type.Optional(Url),
})
export type AuthzenConfiguration = Static<typeof AuthzenConfiguration>
