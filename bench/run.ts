/** `npm run bench -- <name> […]` */
const BENCHES: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  conditions: () => import('./conditions.ts'),
  decide: () => import('./decide.ts'),
  http: () => import('./http.ts'),
  load: () => import('./load.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
if (bench === undefined) {
  console.error(`npm run bench -- ${Object.keys(BENCHES).join(' | ')}`)
  process.exitCode = 1
} else {
  const { run } = await bench()
  await run(args)
}
