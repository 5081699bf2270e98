import type { Variable } from '../config/environment.ts'
import { VARIABLES } from '../config.ts'

export const programHelp = `
Examples:
  Run it, with an embedded database in ./data and a small policy to try:
    $ verdict serve

  Run it on a Postgres of yours (see verdict serve --help for what else there is to set):
    $ export DATABASE_URL=postgres://verdict:…@db.internal:5432/verdict
    $ VERDICT_MIGRATE_DATABASE_URL=postgres://owner:…@db.internal:5432/verdict verdict migrate
    $ verdict serve

  Ask a policy file a question, without a database:
    $ verdict check --policy presets/quickstart.yaml question.json

  Test a policy against the decisions that are wanted of it:
    $ verdict test presets --coverage

  Keep a tenant's policy in files:
    $ export VERDICT_KEY=vdt_…
    $ verdict export -o policy.yaml
    $ verdict apply --dry-run policy.yaml
    $ verdict apply policy.yaml

Exit status: 0 done (check: allow; test: all passed), 1 it could not be done, 3 check came to a deny, apply --dry-run to a
difference, or audit verify to what is not as it was recorded; 4 audit verify misses something, 5 both.`

export const checkHelp = `
The request is that of POST /v1/authorize. Exit status: 0 allow, 3 deny, 1 nothing was decided.

Examples:
  $ cat question.json
  {"subject": {"type": "user", "id": "alice"}, "action": {"name": "document:edit"},
   "resource": {"type": "document", "id": "plan"}}
  $ verdict check --policy presets/quickstart.yaml question.json
  allow  allowed_by_rule
  rule   default/editors-edit-what-they-own

  Why, or why not:
    $ verdict check --policy presets/quickstart.yaml question.json --explain

  From a pipe, as JSON, as of another time:
    $ jq .request logged.json | verdict check -p policy.yaml - --json --now 2030-01-01T00:00:00Z

  In a pipeline that must not go on with a deny:
    $ verdict check -p policy.yaml question.json && deploy`

export const applyHelp = `
A section that is present (types, policies, roles, rules, entities, assignments, settings) declares the whole of it:
what it does not list is deleted, but for entities and assignments that no bundle made. A section that is absent is left
alone. All of it is applied, in one revision, or nothing. Of a folder every .yaml, .yml and .json file counts, at any
depth, but *.cases.* and what begins with a dot; things of one section may stand in several files, each thing in one.

Of entities and assignments that are declared and were made by hand (over REST, not by a bundle) it warns: left out later,
they stay.

--dry-run sees whatever differs from the files, and what was added to the types, policies, roles, rules or settings. It
does not see entities and assignments that were made by hand and are not declared, sections that are absent, and what no
bundle has (see verdict export --help).

Exit status: 0 applied, or there was nothing to change; 3 --dry-run found a difference; 1 nothing was applied.

Examples:
  $ export VERDICT_URL=https://verdict.internal VERDICT_KEY_FILE=/run/secrets/verdict_key
  $ verdict apply --dry-run policy/
  + role editor
  ~ rule archive-is-read-only
      enabled: true → false
  Dry run at revision 41, nothing written: 1 added, 1 changed, 0 removed, 12 unchanged.
  $ verdict apply policy/ --reason "editors, as agreed in June"

  A policy that comes with Verdict (quickstart, task-runtime, workflow, plugin-platform, os-operations, plugin-web):
    $ verdict apply --dry-run --preset workflow

  In a pipeline, fail when somebody has changed what is under version control (but see above for what it does not see):
    $ verdict apply --dry-run policy/`

export const auditVerifyHelp = `
Of the database it is told by DATABASE_URL; without it, it is the embedded one in VERDICT_DATA_DIR, whether Verdict runs
or not. It only reads, also while Verdict writes. Everything is held against the signed checkpoints in the database, and
against those kept elsewhere: --checkpoint takes notes as they are, and JSON lines, such as those of the data directory's
checkpoints.log or of Verdict's own log. Where VERDICT_DATA_DIR is set, or the database is the embedded one, the
checkpoints.log of the data directory is taken besides; it proves nothing against who can write there, too.

Whoever can change everything in the database can also put an older state back: only a checkpoint that they could not
reach tells. And they can put their own key there: --key names the one that you wrote down (verdict audit key). The keys that followed
it need not be named; those before it are not believed.

With --tenant, --from or --to, only these records are looked at; without, every record, log and checkpoint. A tenant that
neither the database nor the trail knows can not be verified.

Exit status: 0 sound, 1 it could not be verified, 3 integrity (something is not what was recorded), 4 completeness
(something is missing), 5 both.

Examples:
  $ verdict audit verify --key "verdict.audit/…+…+…" --checkpoint /mnt/elsewhere/checkpoints.log
  integrity     ok      1,204,117 records in 12 logs, under 20,131 checkpoints
  completeness  ok
  held against  18,904 checkpoints of /mnt/elsewhere/checkpoints.log

  One tenant, in June:
    $ verdict audit verify --tenant acme --from 2026-06-01T00:00:00Z --to 2026-07-01T00:00:00Z --json`

export const auditRotateHelp = `
Prints the new public key. Every process signs with it within ten seconds. The key before it signs that it follows: go on
giving verdict audit verify --key the first key that you wrote down, from which all later ones follow. Nothing leads back:
by the new key alone, what the old one sealed is BROKEN. It proves what was sealed since, with --from an instant after the
rotation, and against no checkpoint that the old one signed (checkpoints.log has some for a long time, and is taken
wherever VERDICT_DATA_DIR is set, or the database is the embedded one). DATABASE_URL and VERDICT_MASTER_KEY are those of
the service.`

export const auditPruneHelp = `
Only months that are over before the given instant, oldest first, each as a whole; and only those of which a signed
checkpoint covers every record: it stops at the first that is not covered. What was dropped stays written in the table
audit_pruned, by month and writer, and as a record of the tenant system. VERDICT_PRUNE_DATABASE_URL names the database as
the role for this (verdict migrate gives it its rights); the tables' owner may do it, too.

Exit status: 0 done, or there was nothing to do; 1 something was not dropped.

Examples:
  $ verdict audit prune --before 2025-01 --dry-run
  audit_2024_12  would drop 1204331 records of 3 writers`

export const keysRotateHelp = `
The new key is published at once and signs half a minute later, when every process has read it; tokens of the keys before
it stay valid until they expire, and those keys are published for a day. DATABASE_URL and VERDICT_MASTER_KEY are those of
the service; of the embedded database, VERDICT_DATA_DIR alone (./data where it is left out), whose master.key is taken.
With --emergency nothing is kept: tokens of that key are refused by every process within seconds (who has
an API key or a session gets another), and where it was the one that signed, a new one does.

Examples:
  $ verdict keys rotate
  $ verdict keys list
  $ verdict keys rotate --emergency kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k`

export const keysResealHelp = `
To replace the master key while the service runs:
  1. Start every process with the new key in VERDICT_MASTER_KEY, and the old one in VERDICT_MASTER_KEY_PREVIOUS.
  2. Run this, with the same two variables.
  3. Start every process without VERDICT_MASTER_KEY_PREVIOUS.
Nothing else changes: what is sealed in the database, and the keyed hashes in the audit, hang on a key of their own, which
is all that is sealed anew.`

export const journalShipHelp = `
For a data directory whose process does not come back: a copy of it, a volume of a replica that is gone. (A process that
starts on the directory ships what is left in it by itself.) DATABASE_URL names the database. What is there already is
not repeated, so it may be run again; the files stay. A journal whose process lives is refused.

Exit status: 0 everything is in the database; 1 something is not.

Examples:
  $ DATABASE_URL=postgres://verdict:…@db.internal:5432/verdict verdict journal ship /mnt/old-volume/data
  0199a1c2-… 41250 of 41250 records are in the database, 1250 of them by this run`

export const exportHelp = `
It prints the tenant's types, policies, roles, rules, entities and assignments, and its settings for keys with pdp:admin.
Applied to another tenant, that gives it the same of these. Not in it are quotas, capabilities, permission requests,
security contexts, trusted issuers, API keys and passwords, and who holds built-in roles: back up the database for those.

Examples:
  $ verdict export > policy.yaml
  $ verdict export --url https://verdict.internal -o policy.json`

export const testHelp = `
A file of cases names a policy and the decisions that are wanted of it:

  policy: quickstart.yaml                # a path from this file; or the policy itself
  cases:
    - name: an editor edits what they own
      request:                           # as POST /v1/authorize takes it
        subject:  {type: user, id: alice}
        action:   {name: "document:edit"}
        resource: {type: document, id: plan}
      now: 2030-01-01T00:00:00Z          # where it is left out, this very instant
      want:
        decision: true                   # and what else is to be looked at of the answer, whole and in its order:
        reason: allowed_by_rule
        rules: [default/editors-edit-what-they-own]
        obligations: []

Of a folder, all is taken that is named *.cases.yaml, .yml or .json, and every YAML file with a line that begins with
"cases:". A file with anything wrong in it is not run, and fails.

Exit status: 0 all cases passed, 1 one failed, a file could not be run, or there was no case.

Examples:
  $ verdict test presets/quickstart.cases.yaml
  ok    presets/quickstart.cases.yaml  9 cases

  9 of 9 cases passed  (1 file, 12 ms)

  While you write, and what is not tested yet:
    $ verdict test policies --watch --coverage

  Only some, and against another policy, the one of production say:
    $ verdict test policies --filter archive --policy production.yaml

  In CI:
    $ verdict test policies --junit build/verdict.xml`

const WIDTH = 100
const INDENT = 6

/** Every variable with its default, a line or more for each. */
export function serveHelp(): string {
  return ['', 'Environment variables:', ...VARIABLES.map(described), '', secretsHelp].join('\n')
}

const secretsHelp = `A variable marked (secret) can also be read from a file: VERDICT_ROOT_KEY_FILE=/run/secrets/root_key.
On SIGTERM and SIGINT it stops: it answers what is under way, writes the audit records out, and ends with status 0.

Example:
  $ VERDICT_PORT=8081 LOG_LEVEL=debug verdict serve`

function described(variable: Variable): string {
  const fallback = variable.default === undefined ? '' : `  [${variable.default}]`
  const secret = variable.secret === true ? '  (secret)' : ''
  return `  ${variable.name}${fallback}${secret}\n${wrapped(variable.description)}`
}

function wrapped(text: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > WIDTH - INDENT) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((filled) => ' '.repeat(INDENT) + filled).join('\n')
}
