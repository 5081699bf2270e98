import * as access from './access.ts'
import * as audit from './audit.ts'
import * as auditProof from './audit-proof.ts'
import * as auditReading from './audit-reading.ts'
import * as authenticate from './authenticate.ts'
import * as authorize from './authorize.ts'
import * as operation from './authorize-operation.ts'
import * as batch from './batch.ts'
import * as bundle from './bundle.ts'
import * as capabilities from './capabilities.ts'
import type { RouteConfig } from './common.ts'
import * as contexts from './contexts.ts'
import * as credentials from './credentials.ts'
import * as entities from './entities.ts'
import * as explain from './explain.ts'
import * as issuers from './issuers.ts'
import * as mask from './mask.ts'
import * as operations from './operations.ts'
import * as permissionRequests from './permission-requests.ts'
import * as policies from './policies.ts'
import * as quotas from './quotas.ts'
import * as search from './search.ts'
import * as tenants from './tenants.ts'
import * as types from './types.ts'

/** What a route is, to whoever does not handle its requests. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: string
  readonly config: RouteConfig
  readonly schema: { readonly operationId: string; readonly body?: unknown; readonly response: object }
}

/** Every route of the API, in the order in which the documentation shows them. The server has these and no others. */
export const ROUTES: readonly Route[] = [
  authorize.authorize,
  batch.authorizeBatch,
  operation.authorizeOperation,
  explain.explain,
  mask.maskRecord,
  access.evaluation,
  access.evaluations,
  search.subjectSearch,
  search.resourceSearch,
  search.actionSearch,
  access.metadata,
  access.tenantMetadata,
  authenticate.authenticate,
  authenticate.revoke,
  authenticate.me,
  authenticate.jwks,
  contexts.createContext,
  contexts.attenuateContext,
  contexts.receiveContext,
  contexts.listContexts,
  contexts.getContext,
  contexts.deleteContext,
  types.listTypes,
  types.getType,
  types.putType,
  types.deleteType,
  policies.listPolicies,
  policies.getPolicy,
  policies.putPolicy,
  policies.deletePolicy,
  policies.listRoles,
  policies.createRole,
  policies.getRole,
  policies.putRole,
  policies.deleteRole,
  entities.listMembers,
  policies.listRules,
  policies.createRule,
  policies.getRule,
  policies.putRule,
  policies.deleteRule,
  quotas.listQuotas,
  quotas.getQuota,
  quotas.putQuota,
  quotas.deleteQuota,
  quotas.getQuotaUsage,
  quotas.refundQuota,
  entities.listEntities,
  entities.getEntity,
  entities.putEntity,
  entities.deleteEntity,
  entities.getEntityByQuery,
  entities.putEntityByQuery,
  entities.deleteEntityByQuery,
  entities.bulkEntities,
  entities.listAssignments,
  entities.createAssignment,
  entities.deleteAssignment,
  capabilities.listCapabilities,
  capabilities.createCapability,
  capabilities.getCapability,
  capabilities.deleteCapability,
  permissionRequests.listPermissionRequests,
  permissionRequests.createPermissionRequest,
  permissionRequests.getPermissionRequest,
  permissionRequests.approvePermissionRequest,
  permissionRequests.refusePermissionRequest,
  permissionRequests.withdrawPermissionRequest,
  bundle.getBundle,
  bundle.putBundle,
  entities.listChanges,
  audit.listAudit,
  audit.getAudit,
  auditProof.getAuditProof,
  auditProof.listCheckpoints,
  auditProof.getConsistency,
  auditProof.verifyAudit,
  auditReading.exportAudit,
  auditReading.auditStats,
  tenants.getSettings,
  tenants.putSettings,
  tenants.listApiKeys,
  tenants.createApiKey,
  tenants.rotateApiKey,
  tenants.deleteApiKey,
  issuers.listIssuers,
  issuers.getIssuer,
  issuers.putIssuer,
  issuers.deleteIssuer,
  credentials.getCredentials,
  credentials.putPassword,
  credentials.deletePassword,
  credentials.putTotp,
  credentials.deleteTotp,
  credentials.listSessions,
  credentials.deleteSessions,
  credentials.deleteSession,
  tenants.listTenants,
  tenants.createTenant,
  tenants.getTenant,
  tenants.patchTenant,
  tenants.deleteTenant,
  operations.livez,
  operations.readyz,
  operations.metrics,
  operations.openapi,
]
