/** Which methods there are at a path: asked only where no route is. */
export class Paths {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = []

  /** `url` as Fastify takes it: a part that begins with `:` stands for any one, `*` for all that follow. */
  add(url: string, methods: string | readonly string[]): void {
    const parts = url.split('/').map((part) => {
      if (part.startsWith(':')) return '[^/]+'
      return part === '*' ? '.*' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    })
    this.#routes.push({ pattern: new RegExp(`^${parts.join('/')}$`), methods: [methods].flat() })
  }

  /** Sorted; empty: nothing is there. */
  methodsAt(url: string): readonly string[] {
    const [path = ''] = url.split('?', 1)
    const there = this.#routes.filter(({ pattern }) => pattern.test(path))
    return [...new Set(there.flatMap(({ methods }) => methods))].sort()
  }
}
