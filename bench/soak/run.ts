/** `npm run soak -- <name> […]`: what tests show in seconds, for as long as wanted. */
const SOAKS: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  coalition: () => import('./coalition.ts'),
  decide: () => import('./decide.ts'),
  endurance: () => import('./endurance.ts'),
  kill: () => import('./kill.ts'),
  'login-timing': () => import('./login-timing.ts'),
  postgres: () => import('./postgres.ts'),
  quota: () => import('./quota.ts'),
  refresh: () => import('./refresh.ts'),
  revocation: () => import('./revocation.ts'),
  rolling: () => import('./rolling.ts'),
  window: () => import('./window.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const soak = Object.hasOwn(SOAKS, name) ? SOAKS[name] : undefined
if (soak === undefined) {
  console.error(`npm run soak -- ${Object.keys(SOAKS).join(' | ')}`)
  process.exitCode = 1
} else {
  const { run } = await soak()
  await run(args)
}
