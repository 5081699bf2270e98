import { type ApiKeyAdministration, apiKeyAdministration } from './administration/api-keys.ts'
import { type AssignmentAdministration, assignmentAdministration } from './administration/assignments.ts'
import { type BundleAdministration, bundleAdministration } from './administration/bundle.ts'
import { type CapabilityAdministration, capabilityAdministration } from './administration/capabilities.ts'
import { changer } from './administration/change.ts'
import { type ChangeLog, changeLog } from './administration/changes.ts'
import type { CredentialParts } from './administration/credentials/proof.ts'
import { type CredentialAdministration, credentialAdministration } from './administration/credentials.ts'
import { type EntityAdministration, entityAdministration } from './administration/entities.ts'
import { type IssuerAdministration, issuerAdministration } from './administration/issuers.ts'
import {
  type PermissionRequestAdministration,
  permissionRequestAdministration,
} from './administration/permission-requests.ts'
import { type PolicyAdministration, policyAdministration } from './administration/policies.ts'
import { type QuotaAdministration, quotaAdministration } from './administration/quotas.ts'
import { type RoleAdministration, roleAdministration } from './administration/roles.ts'
import { type RuleAdministration, ruleAdministration } from './administration/rules.ts'
import { type SettingsAdministration, settingsAdministration } from './administration/settings.ts'
import { type TenantAdministration, tenantAdministration } from './administration/tenants.ts'
import { type TypeAdministration, typeAdministration } from './administration/types.ts'
import type { Parts } from './administration/write.ts'

export type { CredentialParts } from './administration/credentials/proof.ts'
export type { Answer, Author, Found, Parts, Read, Write } from './administration/write.ts'

/**
 * Everything that can be administered. A write is checked by the policy `pdp` before it comes here; here it is
 * checked for sense, stored in one transaction with its revision, its log and its record, and answered once this
 * replica decides by it.
 */
export interface Administration {
  readonly tenants: TenantAdministration
  readonly settings: SettingsAdministration
  readonly types: TypeAdministration
  readonly policies: PolicyAdministration
  readonly roles: RoleAdministration
  readonly rules: RuleAdministration
  readonly quotas: QuotaAdministration
  readonly entities: EntityAdministration
  readonly assignments: AssignmentAdministration
  readonly capabilities: CapabilityAdministration
  readonly permission_requests: PermissionRequestAdministration
  readonly api_keys: ApiKeyAdministration
  readonly issuers: IssuerAdministration
  readonly credentials: CredentialAdministration
  readonly changes: ChangeLog
  readonly bundle: BundleAdministration
}

export function createAdministration(parts: Parts & CredentialParts): Administration {
  const change = changer(parts)
  return {
    tenants: tenantAdministration(parts, change),
    settings: settingsAdministration(parts, change),
    types: typeAdministration(parts, change),
    policies: policyAdministration(parts, change),
    roles: roleAdministration(parts, change),
    rules: ruleAdministration(parts, change),
    quotas: quotaAdministration(parts, change),
    entities: entityAdministration(parts, change),
    assignments: assignmentAdministration(parts, change),
    capabilities: capabilityAdministration(parts, change),
    permission_requests: permissionRequestAdministration(parts, change),
    api_keys: apiKeyAdministration(parts, change),
    issuers: issuerAdministration(parts, change),
    credentials: credentialAdministration(parts, change),
    changes: changeLog(parts),
    bundle: bundleAdministration(parts, change),
  }
}
