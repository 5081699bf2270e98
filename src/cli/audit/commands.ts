import type { Command } from 'commander'
import { Option } from 'commander'
import type { Io } from '../io.ts'
import type { AuditExportOptions } from './export.ts'
import { auditExportHelp, tailHelp } from './help.ts'
import { withQuestion } from './question.ts'
import type { TailOptions } from './tail.ts'

/** The commands of `verdict audit` that read it from a running Verdict; `server` adds the options of such commands. */
export function addAuditReading(
  audit: Command,
  server: (command: Command) => Command,
  io: Io,
  ended: (status: number) => void,
): void {
  withQuestion(server(audit.command('tail')))
    .description('print the audit of a running Verdict as it is written, until Ctrl-C')
    .option('--since <instant>', 'begin with what was written since: an instant, a date, or how long ago (15m)')
    .option('--json', 'print each event as it was recorded, one JSON object a line')
    .addHelpText('after', tailHelp)
    .action(async (options: TailOptions) => ended(await (await import('./tail.ts')).tailAudit(options, io)))

  withQuestion(server(audit.command('export')))
    .description('print the audit of a running Verdict, all of it or what a filter asks for')
    .option('--from <instant>', 'from then on: an instant, a date, or how long ago (30d)')
    .option('--to <instant>', 'until before then')
    .addOption(new Option('--format <format>', 'ndjson (the default) or csv').choices(['ndjson', 'csv']))
    .option('--cursor <cursor>', 'go on where an earlier export stood')
    .addHelpText('after', auditExportHelp)
    .action(async (options: AuditExportOptions) => ended(await (await import('./export.ts')).exportAudit(options, io)))
}
