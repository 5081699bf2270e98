import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of a run is waiting for Postgres and for clocks.
    maxWorkers: 3,
    setupFiles: ['test/support/umask.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // For what hangs: nothing that only takes long on a busy machine comes near.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // A second, as it would be, is less than a busy machine may stand still.
    expect: { poll: { timeout: 20_000 } },
  },
})
