import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import type { ApplyOptions } from './apply.ts'
import { addAuditReading } from './audit/commands.ts'
import type { VerifyCommand } from './audit/verify.ts'
import type { ExportOptions } from './export.ts'
import {
  applyHelp,
  auditPruneHelp,
  auditRotateHelp,
  auditVerifyHelp,
  checkHelp,
  exportHelp,
  journalShipHelp,
  keysResealHelp,
  keysRotateHelp,
  programHelp,
  serveHelp,
  testHelp,
} from './help.ts'
import { EXIT, type Io } from './io.ts'
import type { ShipOptions } from './journal.ts'
import type { RotateOptions } from './keys.ts'
import type { PruneCommand } from './prune.ts'
import { report } from './report.ts'
import type { TestOptions } from './test.ts'

/** Runs one command line and answers with its exit status. Only what a command needs is loaded. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let status: number = EXIT.ok
  const program = commands(io, (commandStatus) => {
    status = commandStatus
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return status
  } catch (error) {
    // Commander has already written its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode
    report(error, io)
    return EXIT.error
  }
}

/** What a command calls with its exit status. */
type Ended = (status: number) => void

function commands(io: Io, ended: Ended): Command {
  const program = new Command('verdict')
    .description('A policy decision point: it decides from memory, and no decision leaves unrecorded.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help; verdict <command> --help prints a command’s own')
    .helpCommand(false)
    .addHelpText('after', programHelp)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })

  // A subcommand takes over exitOverride and the output from `program`. The order is the one that the help lists them in.
  addService(program, io, ended)
  addAudit(program, io, ended)
  addJournal(program, io, ended)
  addKeys(program, io, ended)
  addCheck(program, io, ended)
  addBundles(program, io, ended)
  addTest(program, io, ended)
  addOpenApi(program, io, ended)

  pointToHelp(program, program.name())
  return program
}

function addService(program: Command, io: Io, ended: Ended): void {
  program
    .command('serve')
    .description('run the service; everything is set by environment variables')
    .addHelpText('after', serveHelp)
    .action(async () => ended(await (await import('./serve.ts')).serveUntilSignal(io)))

  program
    .command('migrate')
    .description('bring the database’s schema up to date, as its owner, and give the service’s role its rights')
    .action(async () => ended(await (await import('./migrate.ts')).migrateDatabase(io)))
}

function addAudit(program: Command, io: Io, ended: Ended): void {
  const audit = program.command('audit').description('read, follow, prove and prune the audit trail')
  addAuditReading(audit, server, io, ended)

  audit
    .command('verify')
    .description('prove that the audit trail is what was recorded, and that nothing of it is missing')
    .option('--checkpoint <file>', 'a file of checkpoints that were kept elsewhere; may be given again', gathered, [])
    .option('--key <key>', 'the public key that must have signed, or a file with it; may be given again', gathered, [])
    .option('--tenant <tenant>', 'only the records of this tenant')
    .option('--from <instant>', 'only records from this instant on (RFC 3339)')
    .option('--to <instant>', 'only records before this instant (RFC 3339)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', auditVerifyHelp)
    .action(async (options: VerifyCommand) => ended(await (await import('./audit/verify.ts')).verify(options, io)))

  audit
    .command('key')
    .description('print the public keys that checkpoints are signed with, the newest first')
    .action(async () => ended(await (await import('./audit/verify.ts')).printKeys(io)))

  audit
    .command('rotate-key')
    .description('make a new key that signs checkpoints; those before it go on verifying what they have signed')
    .addHelpText('after', auditRotateHelp)
    .action(async () => ended(await (await import('./keys.ts')).rotateCheckpointKey(io)))

  audit
    .command('prune')
    .description('drop whole months of the audit trail, and leave a record of what was dropped')
    .addOption(
      new Option(
        '--before <month or instant>',
        'nothing from here on: 2026-01, or an RFC 3339 instant',
      ).makeOptionMandatory(),
    )
    .option('--dry-run', 'only say what would be dropped')
    .option('--default', 'also delete older records that no month’s partition took')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', auditPruneHelp)
    .action(async (options: PruneCommand) => ended(await (await import('./prune.ts')).prune(options, io)))
}

function addJournal(program: Command, io: Io, ended: Ended): void {
  program
    .command('journal')
    .description('what a process has recorded and the database may not have yet')
    .command('ship')
    .description('put the records of an orphaned journal into the database, each once')
    .argument('<dir>', 'a data directory, the folder journal in it, or the folder of one writer')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', journalShipHelp)
    .action(async (dir: string, options: ShipOptions) =>
      ended(await (await import('./journal.ts')).shipJournal(dir, options, io)),
    )
}

function addKeys(program: Command, io: Io, ended: Ended): void {
  const keys = program
    .command('keys')
    .description('the keys that sign access tokens, and the key that seals what is secret')
  keys
    .command('list')
    .description('list the keys that sign access tokens, newest first')
    .action(async () => ended(await (await import('./keys.ts')).listKeys(io)))
  keys
    .command('rotate')
    .description('make a new key that signs access tokens; or take one away at once')
    .option('--emergency <kid>', 'this key got out: refuse whatever it has signed, from now on')
    .addHelpText('after', keysRotateHelp)
    .action(async (options: RotateOptions) => ended(await (await import('./keys.ts')).rotateKeys(options, io)))
  keys
    .command('reseal')
    .description('seal under VERDICT_MASTER_KEY what VERDICT_MASTER_KEY_PREVIOUS has sealed')
    .addHelpText('after', keysResealHelp)
    .action(async () => ended(await (await import('./keys.ts')).reseal(io)))
}

function addCheck(program: Command, io: Io, ended: Ended): void {
  program
    .command('check')
    .description('decide one request against a policy file, without a database')
    .argument('<request>', 'the request as a JSON file, or - for standard input')
    .addOption(new Option('-p, --policy <file>', 'the policy: a bundle, YAML or JSON').makeOptionMandatory())
    .option('--now <instant>', 'decide as of this instant (RFC 3339), for rules and assignments with a validity')
    .option('--explain', 'print how it came about: roles, rules, values, policies, and what was missing')
    .option('--json', 'print the decision as POST /v1/authorize answers it; with --explain, as /v1/authorize/explain')
    .addHelpText('after', checkHelp)
    .action(async (request: string, options: { policy: string; now?: string; json?: true; explain?: true }) =>
      ended(await (await import('./check.ts')).check(request, options, io)),
    )
}

/** What talks to a running Verdict about the whole policy of a tenant. */
function addBundles(program: Command, io: Io, ended: Ended): void {
  server(program.command('apply'))
    .description('make a tenant of a running Verdict what a bundle declares, and say what that changed')
    .argument('[path]', 'a bundle (YAML or JSON), or a folder of them that make one')
    .option('--preset <name>', 'a policy that comes with Verdict, instead of a path')
    .option('--dry-run', 'only say what would change')
    .option('--reason <text>', 'why; kept in the change log')
    .option('--json', 'print the answer of PUT /v1/bundle')
    .addHelpText('after', applyHelp)
    .action(async (path: string | undefined, options: ApplyOptions) =>
      ended(await (await import('./apply.ts')).apply(path, options, io)),
    )

  server(program.command('export'))
    .description('print the whole policy of a tenant of a running Verdict as a bundle')
    .addOption(
      new Option('--format <format>', 'yaml (the default, but for a file *.json) or json').choices(['yaml', 'json']),
    )
    .option('-o, --output <file>', 'write it to this file, whole or not at all')
    .addHelpText('after', exportHelp)
    .action(async (options: ExportOptions) => ended(await (await import('./export.ts')).exportBundle(options, io)))
}

function addTest(program: Command, io: Io, ended: Ended): void {
  program
    .command('test')
    .description('ask a policy the questions of test cases, and say where it decides otherwise than wanted')
    .argument('<paths...>', 'files of cases, or folders to look through for them')
    .option('-p, --policy <bundle>', 'ask this policy, instead of the one that each file names')
    .option('-f, --filter <text>', 'only cases with this text in their name')
    .option('-c, --coverage', 'say which rules, permissions and roles no case decided by, and which ways none went')
    .option('-w, --watch', 'run again when a policy or a file of cases changes, until Ctrl-C')
    .option('--junit <file>', 'write the results as JUnit XML too, for CI')
    .option('--json', 'print the results as JSON, one line for each run')
    .addHelpText('after', testHelp)
    .action(async (paths: string[], options: TestOptions) =>
      ended(await (await import('./test.ts')).testPolicies(paths, options, io)),
    )
}

function addOpenApi(program: Command, io: Io, ended: Ended): void {
  program
    .command('openapi')
    .description('print the description of the HTTP API (OpenAPI 3.1, YAML)')
    .option('--json', 'print it as JSON')
    .action(async (options: { json?: true }) => ended(await (await import('./openapi.ts')).openapi(options, io)))
}

/** After an error of usage, to the help of the very command. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(${path} --help shows what there is)`)
  for (const one of command.commands) pointToHelp(one, `${path} ${one.name()}`)
}

const gathered = (value: string, before: string[]) => [...before, value]

/** The options of every command that talks to a running Verdict. */
function server(command: Command): Command {
  return command
    .option('--url <url>', 'where it is; else VERDICT_URL, else http://127.0.0.1:8080')
    .option('--key <key>', 'the API key; better in VERDICT_KEY, or in a file that VERDICT_KEY_FILE names')
}

function version(): string {
  // The same distance from here in src/ and in dist/.
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '0.0.0'
}
