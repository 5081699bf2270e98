export const tailHelp = `
What it prints for people is one line an event; --json prints each as it was recorded, with where it stands. It begins
with what comes next, or with --since; a service that restarts is waited for, and nothing is left out or printed twice.

Examples:
  $ verdict audit tail
  2030-01-01 12:00:00.000  deny   user:bob  document:edit  document:plan  no_applicable_rule

  $ verdict audit tail --decision deny --since 15m
  $ verdict audit tail --json --type administration | jq .context`

export const auditExportHelp = `
NDJSON holds, beside the records, lines {"cursor"}: an export that broke off goes on with --cursor and the last of them.

Examples:
  $ verdict audit export --from 30d --decision deny > denied.ndjson
  $ verdict audit export --format csv --subject-id alice > alice.csv`
