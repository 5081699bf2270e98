import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { CaseFile } from '../../policy/cases.ts'
import { Coverage } from '../../policy/coverage.ts'
import { type LoadedBundle, loadBundle } from '../../policy/in-memory.ts'
import { under } from '../../policy/judgement.ts'
import { LocatedDocument, readLocated } from '../../policy/located.ts'
import type { Bundle } from '../../policy/model.ts'
import { problemsOfText, readPolicy } from '../policy.ts'
import { whyUnread } from './find.ts'
import type { Reading } from './reading.ts'
import type { FileProblem, PolicyCoverage } from './report.ts'

/** A policy that cases are asked of. */
export interface TestedPolicy {
  readonly loaded: LoadedBundle
  readonly coverage: Coverage | undefined
}

interface Source {
  readonly file: string
  readonly document: LocatedDocument
  /** Where in the document the policy stands. */
  readonly pointer: string
}

interface Tested extends TestedPolicy {
  readonly source: Source
}

type Refused = { readonly problems: readonly FileProblem[] }

/** The policies of one run: each file is read and compiled once, however many files of cases name it. */
export class Policies {
  readonly #reading: Reading
  readonly #instead: string | undefined
  readonly #withCoverage: boolean
  readonly #byPath = new Map<string, Promise<Tested | Refused>>()
  readonly #all: Tested[] = []

  /** `instead`: the policy to ask, whatever files name. */
  constructor(reading: Reading, instead: string | undefined, withCoverage: boolean) {
    this.#reading = reading
    this.#instead = instead
    this.#withCoverage = withCoverage
  }

  async of(path: string, { policy, document }: CaseFile): Promise<TestedPolicy | Refused> {
    if (this.#instead !== undefined) return this.#fromFile(this.#instead)
    if (typeof policy === 'string') return this.#fromFile(isAbsolute(policy) ? policy : join(dirname(path), policy))
    if (policy !== undefined) return this.#inline({ file: path, document, pointer: '/policy' }, policy)
    const detail = 'names no policy: it needs `policy`, inline or as a path from this file; or give one with --policy'
    return { problems: [{ file: path, pointer: '', detail, line: 1, column: 1 }] }
  }

  coverage(): PolicyCoverage[] | undefined {
    if (!this.#withCoverage) return undefined
    return this.#all.flatMap(({ coverage, source }) => {
      if (coverage === undefined) return []
      const lineOf = (pointer: string) => source.document.positionOf(source.pointer + pointer).line
      return [{ file: source.file, lineOf, ...coverage.report() }]
    })
  }

  async #fromFile(path: string): Promise<Tested | Refused> {
    const key = resolve(path)
    const known = this.#byPath.get(key) ?? this.#readFrom(path)
    this.#byPath.set(key, known)
    return known
  }

  async #readFrom(file: string): Promise<Tested | Refused> {
    let text: string
    try {
      text = await this.#reading.text(file)
    } catch (error) {
      return { problems: [{ file, pointer: '', detail: whyUnread(error) }] }
    }
    const document = readLocated(text)
    const read = document instanceof LocatedDocument ? await parsed(file, text, document) : document
    if ('bundle' in read) return this.#tested(read.bundle, { file, document: read.document, pointer: '' })
    return { problems: read.problems.map((problem) => ({ file, ...problem })) }
  }

  async #inline(source: Source, policy: Bundle): Promise<Tested | Refused> {
    const read = await readPolicy(policy)
    if ('bundle' in read) return this.#tested(read.bundle, source)
    const located = source.document.locate(under(source.pointer, read.problems))
    return { problems: located.map((problem) => ({ file: source.file, ...problem })) }
  }

  #tested(bundle: Bundle, source: Source): Tested {
    const loaded = loadBundle(bundle)
    const tested = { loaded, coverage: this.#withCoverage ? new Coverage(bundle, loaded) : undefined, source }
    this.#all.push(tested)
    return tested
  }
}

async function parsed(file: string, text: string, document: LocatedDocument) {
  const unreadable = problemsOfText(file, text)
  if (unreadable.length > 0) return { problems: document.locate(unreadable) }
  const read = await readPolicy(document.value)
  return 'bundle' in read ? { bundle: read.bundle, document } : { problems: document.locate(read.problems) }
}
