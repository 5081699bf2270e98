export type { DecisionAnswer as Decision } from '../contract/authorize.ts'
export type { Context, IssuedContext } from '../contract/contexts.ts'
export type { ExplainAnswer as Explanation } from '../contract/explain.ts'
export { type Hash, MASK_KINDS, type MaskedRecord, type Masking, type MaskKind, mask } from '../masking.ts'
export type {
  Assignment,
  Bundle,
  Entity,
  EntityRef,
  EntityType,
  Obligation,
  Policy,
  Role,
  Rule,
} from '../policy/model.ts'
export { type Client, type ClientOptions, createClient } from './client.ts'
export type { Authentication, Session } from './credentials.ts'
export type {
  BatchAnswer,
  BatchItem,
  BatchRequest,
  CallOptions,
  CanOptions,
  DecisionOptions,
  Question,
} from './decisions.ts'
export { type ProblemDetails, VerdictError, type VerdictErrorCode } from './error.ts'
export type { Listing, Page } from './listing.ts'
export { applyObligations } from './obligations.ts'
export type { ListOptions, ReadOptions, WriteOptions } from './resources.ts'
export type { ActionSearch, ResourceSearch, SearchOptions, SubjectSearch } from './search.ts'
export { type Jwks, type VerifyContextOptions, verifyContext } from './verify-context.ts'
