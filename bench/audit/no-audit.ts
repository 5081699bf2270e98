// Loaded into a service before its own program (`node --import`): its decisions leave no record, so that what auditing
// costs is the difference. There is no such setting.
const trail: typeof import('../../src/audit/trail.ts') = await import(
  new URL('../../../dist/audit/trail.js', import.meta.url).href
)
trail.AuditTrail.prototype.record = async () => 0
