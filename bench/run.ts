import { keep, observed, type Result } from './results.ts'
import type { Section } from './section.ts'

/** A bench that returns its sections has them kept for the report; one that returns nothing has printed what it found. */
interface Bench {
  run(args: readonly string[]): Promise<readonly Section[]> | Promise<void>
}

/** `npm run bench -- <name> […] [--json]`; `report` makes `docs/benchmarks.md` of what the others found. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  auth: () => import('./auth.ts'),
  'audit-export': () => import('./audit/export.ts'),
  'audit-http': () => import('./audit/http.ts'),
  'audit-rows': () => import('./audit/rows.ts'),
  batch: () => import('./batch.ts'),
  conditions: () => import('./conditions.ts'),
  decide: () => import('./decide/run.ts'),
  fairness: () => import('./fairness.ts'),
  http: () => import('./http/run.ts'),
  load: () => import('./load.ts'),
  report: () => import('./report.ts'),
  search: () => import('./search.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
if (bench === undefined) {
  console.error(`npm run bench -- ${Object.keys(BENCHES).join(' | ')}`)
  process.exitCode = 1
} else {
  const { run } = await bench()
  const own = args.filter((arg) => arg !== '--json')
  const result = await observed(
    name,
    ['npm run bench --', name, ...own].join(' '),
    async () => (await run(own)) ?? undefined,
  )
  if (result !== undefined) {
    keep(result)
    show(result)
  }
}

/** On stdout; progress has gone to stderr. */
function show(result: Result): void {
  if (args.includes('--json')) {
    console.log(JSON.stringify(result))
    return
  }
  for (const { title, rows, notes = [] } of result.sections) {
    console.log(`\n${title}`)
    console.table(rows)
    for (const note of notes) console.log(`- ${note}`)
  }
  const { node, machine, commit, load } = result
  console.log(`\nNode ${node}, ${machine}, commit ${commit}, load ${load.join(' → ')}`)
}
