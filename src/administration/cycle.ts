/** A directed graph's edges by their nodes' places; nodes are numbered as they come. */
export interface Edge {
  readonly from: number
  readonly to: number
}

/**
 * The edges that lie on a cycle, or on a way from one cycle to another; none where the graph has no cycle. Nodes
 * without an edge in or without an edge out are taken away until none is left: linear in the number of edges.
 */
export function cyclicEdges(edges: readonly Edge[], nodes: number): Edge[] {
  return prune(prune(edges, nodes), nodes, true)
}

/** Takes away what leads nowhere (or, reversed, what nothing leads to), again and again. */
function prune(edges: readonly Edge[], nodes: number, reversed = false): Edge[] {
  const into: number[][] = Array.from({ length: nodes }, () => [])
  const out = new Int32Array(nodes)
  for (const edge of edges) {
    const [start, end] = reversed ? [edge.to, edge.from] : [edge.from, edge.to]
    into[end]?.push(start)
    out[start] = (out[start] ?? 0) + 1
  }
  const gone = new Uint8Array(nodes)
  const ends = [...out.keys()].filter((node) => out[node] === 0)
  for (let node = ends.pop(); node !== undefined; node = ends.pop()) {
    gone[node] = 1
    for (const start of into[node] ?? []) {
      const left = (out[start] ?? 0) - 1
      out[start] = left
      if (left === 0) ends.push(start)
    }
  }
  return edges.filter(({ from, to }) => gone[from] === 0 && gone[to] === 0)
}
