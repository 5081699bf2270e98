import Type from 'typebox'
import type { RouteConfig } from './common.ts'

const open = { permission: 'anyone', unaudited: true } satisfies RouteConfig

export const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('unavailable')]),
  problems: Type.Array(Type.String({ description: 'A code; nothing that names a tenant or a rule.' })),
  staleness_ms: Type.Integer(),
  audit_backlog_records: Type.Integer(),
  quarantined_rules: Type.Integer(),
})

export const livez = {
  method: 'GET',
  url: '/livez',
  config: open,
  schema: {
    operationId: 'getLiveness',
    tags: ['Operations'],
    summary: 'The process answers',
    security: [],
    response: { 200: Type.Object({ status: Type.Literal('ok') }) },
  },
} as const

export const readyz = {
  method: 'GET',
  url: '/readyz',
  config: open,
  schema: {
    operationId: 'getReadiness',
    tags: ['Operations'],
    summary: 'Whether Verdict can decide, and what is wrong',
    security: [],
    response: { 200: Readiness, 503: Readiness },
  },
} as const

export const metrics = {
  method: 'GET',
  url: '/metrics',
  config: open,
  schema: {
    operationId: 'getMetrics',
    tags: ['Operations'],
    summary: 'Metrics in the format of Prometheus',
    security: [],
    response: { 200: { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } } },
  },
} as const

export const openapi = {
  method: 'GET',
  url: '/openapi.json',
  config: open,
  schema: {
    operationId: 'getOpenapi',
    tags: ['Operations'],
    summary: 'This document',
    security: [],
    response: { 200: Type.Object({}, { additionalProperties: true }) },
  },
} as const
