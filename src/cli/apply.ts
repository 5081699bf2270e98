import type { BundleDiff } from '../administration/bundle.ts'
import { presetFile } from '../config/presets.ts'
import { Failure } from '../failure.ts'
import { type BundleFiles, readBundleFiles } from './bundle-files.ts'
import { askServer, type ServerOptions, urlOf } from './client.ts'
import { diffText } from './diff-text.ts'
import { EXIT, type Io } from './io.ts'
import { paintFor, printable } from './paint.ts'
import { withProgress } from './progress.ts'

export interface ApplyOptions extends ServerOptions {
  readonly preset?: string
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly reason?: string
}

/** Makes a running Verdict's tenant what the files, or a preset, declare, or says what that would change. */
export async function apply(path: string | undefined, options: ApplyOptions, io: Io): Promise<number> {
  const files = await readBundleFiles(placeOf(path, options.preset))
  const body = JSON.stringify(files.bundle)
  const query = options.dryRun === true ? '?dry_run=true' : ''
  const headers = { 'content-type': 'application/json', ...reasonHeader(options.reason) }
  const ask = { method: 'PUT', path: `/v1/bundle${query}`, headers, body } as const
  const response = await withProgress(io, `applying ${sizeText(body)} to ${urlOf(options, io)}`, () =>
    askServer(ask, options, io).catch((error: unknown) => {
      throw located(error, files)
    }),
  )
  const diff = (await response.json()) as BundleDiff
  const revision = response.headers.get('verdict-revision') ?? '?'
  io.stdout.write(
    options.json === true ? `${JSON.stringify(diff)}\n` : diffText(diff, revision, paintFor(io, io.stdout)),
  )
  if (response.status === 202) {
    io.stderr.write(
      `it is committed as revision ${revision}, and will be in force soon: there is no need to repeat it\n`,
    )
  }
  for (const { pointer, detail } of diff.warnings ?? []) {
    io.stderr.write(`warning: ${printable(files.origin(pointer))}: ${printable(detail)}\n`)
  }
  return diff.dry_run && diff.added + diff.changed + diff.removed > 0 ? EXIT.differs : EXIT.ok
}

function placeOf(path: string | undefined, preset: string | undefined): string {
  if (path !== undefined && preset === undefined) return path
  if (path === undefined && preset !== undefined) return presetFile(preset)
  throw new Failure('invalid_request', 'apply takes a path or --preset <name>, one of the two')
}

function reasonHeader(reason: string | undefined): Record<string, string> {
  if (reason === undefined) return {}
  if (!/^[ -~]{1,2000}$/.test(reason)) {
    throw new Failure('invalid_request', '--reason takes 1 to 2000 characters of ASCII: it travels in a header')
  }
  return { 'verdict-reason': reason }
}

/** The server points into the one bundle that it was sent; people have files. */
function located(error: unknown, files: BundleFiles): unknown {
  if (!(error instanceof Failure) || error.problems.length === 0) return error
  const problems = error.problems.map(({ pointer, detail }) => ({ pointer: files.origin(pointer), detail }))
  return new Failure(error.code, error.message, { problems, cause: error })
}

function sizeText({ length }: string): string {
  return length < 1024 * 1024 ? `${Math.ceil(length / 1024)} KiB` : `${(length / 1024 / 1024).toFixed(1)} MiB`
}
