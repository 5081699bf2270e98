import type { ContextAdministration } from '../administration/contexts.ts'
import type { Administration } from '../administration.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { TrustedTokens } from '../authn/issuer/trusted-tokens.ts'
import type { KeyUse } from '../authn/key-use.ts'
import type { LogIn } from '../authn/login.ts'
import type { SessionStore } from '../authn/session.ts'
import type { SigningKeys } from '../authn/signing-key.ts'
import type { MaskRecord } from '../pdp/mask.ts'
import type { AuthorizeOperation } from '../pdp/operation.ts'
import type { Quotas } from '../pdp/quotas.ts'
import type { Search } from '../pdp/search.ts'
import type { Pdp } from '../pdp.ts'
import type { RevokedTokens } from '../snapshot/revoked-tokens.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantDatabase } from '../store/database.ts'
import { evaluationRoutes } from './access/evaluation.ts'
import { metadataRoutes } from './access/metadata.ts'
import { accessScope } from './access/scope.ts'
import { searchRoutes } from './access/search.ts'
import { accessTokens } from './access-token.ts'
import { auditRoutes } from './audit.ts'
import { auditExportRoutes } from './audit-export.ts'
import { auditProofRoutes, type Verify } from './audit-proof.ts'
import { auditStatsRoutes } from './audit-stats.ts'
import { openAuthenticateRoutes, ownRoutes } from './authenticate.ts'
import { type Authenticator, createAuthenticator } from './authenticator.ts'
import { authorizeRoutes } from './authorize.ts'
import { authorizeOperationRoutes } from './authorize-operation.ts'
import { batchRoutes } from './batch.ts'
import { bundleRoutes } from './bundle.ts'
import { capabilityRoutes } from './capabilities.ts'
import { contextRoutes } from './contexts.ts'
import { credentialRoutes } from './credentials.ts'
import { assignmentRoutes, bulkRoutes, changeRoutes, entityRoutes } from './entities.ts'
import { guard } from './guard.ts'
import { issuerRoutes } from './issuers.ts'
import { maskRoutes } from './mask.ts'
import { type OperationsParts, operationsRoutes } from './operations.ts'
import { permissionRequestRoutes } from './permission-requests.ts'
import { policyRoutes } from './policies.ts'
import { quotaRoutes } from './quotas.ts'
import { roleRoutes } from './roles.ts'
import { ruleRoutes } from './rules.ts'
import type { App } from './server.ts'
import { apiKeyRoutes, settingsRoutes, tenantRoutes } from './tenants.ts'
import { createThrottles, DecisionRate, type ThrottleLimits } from './throttle.ts'
import { typeRoutes } from './types.ts'

/** What stands behind the door. */
export interface RouteParts extends OperationsParts {
  readonly pdp: Pdp
  readonly mask: MaskRecord
  readonly operation: AuthorizeOperation
  readonly search: Search
  readonly quotas: Quotas
  readonly snapshots: Snapshots
  readonly administration: Administration
  readonly contexts: ContextAdministration
  readonly db: TenantDatabase
  readonly verify: Verify
  /** For questions about the audit that may take long. */
  readonly reading: TenantDatabase
  readonly redactor: Redactor
  readonly signingKeys: SigningKeys
  readonly keyUse: KeyUse
  readonly trustedTokens: TrustedTokens
  readonly logIn: LogIn
  readonly sessions: SessionStore
  readonly revoked: RevokedTokens
  readonly publicUrl: string
  readonly limits: ThrottleLimits
  /** ms since the epoch. */
  readonly clock: () => number
}

/** All routes: an open scope, and a guarded one. A route is guarded by where it stands, not by how it is spelled. */
export async function addRoutes(app: App, parts: RouteParts): Promise<Authenticator> {
  const { pdp, administration } = parts
  const tokens = await accessTokens(app, parts.signingKeys, parts.publicUrl)
  const authenticator = createAuthenticator({ ...parts, tokens, isRevoked: (id) => parts.revoked.isRevoked(id) })
  const throttles = await createThrottles(app, parts.limits)
  const rates = new DecisionRate()
  const learnRevoked = () => parts.revoked.poll()
  const authenticating = { ...parts, tokens, authenticator, throttles, learnRevoked }

  await app.register(async (open: App) => {
    operationsRoutes(open, parts)
    metadataRoutes(open, parts.publicUrl)
    openAuthenticateRoutes(open, authenticating)
  })

  await app.register(async (guarded: App) => {
    guard(guarded, { ...parts, authenticator, throttles, rates })
    ownRoutes(guarded, authenticating)
    authorizeRoutes(guarded, pdp)
    batchRoutes(guarded, { ...parts, rates })
    authorizeOperationRoutes(guarded, { ...parts, rates })
    maskRoutes(guarded, parts.mask)
    contextRoutes(guarded, parts)
    typeRoutes(guarded, administration)
    policyRoutes(guarded, administration)
    roleRoutes(guarded, administration)
    ruleRoutes(guarded, administration)
    quotaRoutes(guarded, parts)
    entityRoutes(guarded, administration)
    assignmentRoutes(guarded, administration)
    capabilityRoutes(guarded, administration)
    permissionRequestRoutes(guarded, administration)
    changeRoutes(guarded, administration)
    tenantRoutes(guarded, administration)
    settingsRoutes(guarded, administration)
    apiKeyRoutes(guarded, administration)
    issuerRoutes(guarded, administration)
    credentialRoutes(guarded, administration)
    auditProofRoutes(guarded, parts.db, parts.verify)
    auditRoutes(guarded, parts)
    auditExportRoutes(guarded, parts)
    auditStatsRoutes(guarded, parts)
    await guarded.register(async (access: App) => {
      accessScope(access)
      evaluationRoutes(access, { ...parts, rates })
      searchRoutes(access, parts.search)
    })
    await guarded.register(async (bulk: App) => bulkRoutes(bulk, administration))
    await guarded.register(async (bundles: App) => bundleRoutes(bundles, administration))
  })
  return authenticator
}
