import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SECTIONS, type Section } from '../administration/bundle.ts'
import { Failure, type Problem } from '../failure.ts'
import { parseBundleText } from '../http/bundle-reader.ts'
import { isObject } from '../policy/json.ts'

/** A bundle out of one file or of many, and where each of its things stands. */
export interface BundleFiles {
  readonly bundle: Readonly<Record<string, unknown>>
  readonly files: readonly string[]
  /** The file and the pointer into it, for a pointer into the bundle. */
  origin(pointer: string): string
}

interface Source {
  readonly file: string
  readonly document: Readonly<Record<string, unknown>>
}

/** Reads a file, or every bundle in a folder and the folders in it, as one bundle. */
export async function readBundleFiles(path: string): Promise<BundleFiles> {
  const files = (await stat(path).catch(unreadable(path))).isDirectory() ? await bundlesIn(path) : [path]
  if (files.length === 0) throw new Failure('invalid_request', `there is no .yaml, .yml or .json file in ${path}`)
  const sources: Source[] = []
  for (const file of files) sources.push({ file, document: await documentIn(file) })
  return merged(sources)
}

async function bundlesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.(ya?ml|json)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !isCases(file) && !isHidden(file.slice(folder.length)))
    .sort()
}

// They stand beside the policy that they are about, and are none.
function isCases(file: string): boolean {
  return /\.cases\.(ya?ml|json)$/.test(file)
}

function isHidden(path: string): boolean {
  return path.split(/[/\\]/).some((part) => part.startsWith('.') || part === 'node_modules')
}

async function documentIn(file: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readFile(file).catch(unreadable(file))
  const document = parsed(bytes, file)
  const { verdict = undefined } = isObject(document) ? document : {}
  if (isObject(document) && verdict === 1) return document
  throw new Failure('invalid_request', `${file} is no bundle: it has no member "verdict" with the value 1`)
}

function parsed(bytes: Buffer, file: string): unknown {
  try {
    return parseBundleText(bytes, file.endsWith('.json') ? 'json' : 'yaml')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, `${file}: ${error.message}`, { problems: error.problems })
  }
}

function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new Failure('invalid_request', `could not read ${path}: ${why}`, { cause })
  }
}

interface Origin {
  readonly file: string
  readonly place: number
}

function merged(sources: readonly Source[]): BundleFiles {
  const lists = new Map<string, { items: unknown[]; origins: Origin[] }>()
  const others = new Map<string, { value: unknown; file: string }>()
  const problems: Problem[] = []
  for (const { file, document } of sources) {
    for (const [member, value] of Object.entries(document)) {
      if (Array.isArray(value)) add(lists, member, value, file)
      else if (member !== 'verdict') alone(others, member, value, file, problems)
    }
  }
  for (const section of SECTIONS) problems.push(...standTwice(section, lists.get(section)))
  if (problems.length > 0) throw new Failure('invalid_request', 'the files do not make one bundle', { problems })
  const members = [
    ...[...others].map(([member, { value }]) => [member, value]),
    ...[...lists].map(([member, { items }]) => [member, items]),
  ]
  return {
    bundle: { verdict: 1, ...Object.fromEntries(members) },
    files: sources.map(({ file }) => file),
    origin: (pointer) => originOf(pointer, sources, lists, others),
  }
}

function add(
  lists: Map<string, { items: unknown[]; origins: Origin[] }>,
  member: string,
  value: unknown[],
  file: string,
) {
  const list = lists.get(member) ?? { items: [], origins: [] }
  lists.set(member, list)
  for (const [place, item] of value.entries()) {
    list.items.push(item)
    list.origins.push({ file, place })
  }
}

function alone(
  others: Map<string, { value: unknown; file: string }>,
  member: string,
  value: unknown,
  file: string,
  problems: Problem[],
): void {
  const first = others.get(member)
  if (first === undefined) others.set(member, { value, file })
  else problems.push({ pointer: `${file} /${member}`, detail: `${member} stand in ${first.file} already` })
}

function standTwice(section: Section, list: { items: unknown[]; origins: Origin[] } | undefined): Problem[] {
  const first = new Map<string, Origin>()
  const problems: Problem[] = []
  for (const [at, item] of list?.items.entries() ?? []) {
    const identity = identityOf(section, item)
    const origin = list?.origins[at]
    if (identity === undefined || origin === undefined) continue
    const before = first.get(identity)
    if (before === undefined) first.set(identity, origin)
    else {
      const pointer = `${origin.file} /${section}/${origin.place}`
      problems.push({ pointer, detail: `${identity} stands in ${before.file} already, at /${section}/${before.place}` })
    }
  }
  return problems
}

/** Undefined: it has not the shape that it should have, which the server tells better. */
function identityOf(section: Section, item: unknown): string | undefined {
  if (!isObject(item)) return undefined
  if (section === 'assignments') {
    const { subject, role, within = null, valid_from = null, valid_until = null } = item
    return JSON.stringify([subject, role, within, valid_from, valid_until])
  }
  if (section !== 'entities') return typeof item['name'] === 'string' ? item['name'] : undefined
  const { type, id } = item
  return typeof type === 'string' && typeof id === 'string' ? `${type}/${id}` : undefined
}

function originOf(
  pointer: string,
  sources: readonly Source[],
  lists: ReadonlyMap<string, { origins: Origin[] }>,
  others: ReadonlyMap<string, { file: string }>,
): string {
  const [, member = '', place = '', ...rest] = pointer.split('/')
  const origin = lists.get(member)?.origins[Number(place)]
  if (place !== '' && origin !== undefined) return `${origin.file} ${['', member, origin.place, ...rest].join('/')}`
  const file = others.get(member)?.file ?? (sources.length === 1 ? sources[0]?.file : undefined)
  return file === undefined ? pointer : `${file} ${pointer}`.trimEnd()
}
