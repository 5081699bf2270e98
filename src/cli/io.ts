/** What a command sees of the process; in a test, four small objects. */
export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly stdin: AsyncIterable<Buffer | string>
  readonly stdout: Output
  readonly stderr: Output
}

export interface Output {
  write(text: string): unknown
  /** Somebody looks at it: a secret may be shown once, colours may be used. */
  readonly isTTY?: boolean
}

/** The exit statuses of `verdict`; 2 stays free, since shells use it for their own errors. */
export const EXIT = { ok: 0, error: 1, deny: 3, differs: 3, integrity: 3, completeness: 4, both: 5 } as const

/** Whether whoever runs this wants to see stack traces. */
export function isVerbose({ LOG_LEVEL }: NodeJS.ProcessEnv): boolean {
  return LOG_LEVEL === 'debug' || LOG_LEVEL === 'trace'
}
