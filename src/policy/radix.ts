/** A radix trie: values filed under texts, found by walking a text from one of its positions. */
export class Radix<V> {
  readonly #root: Node<V> = { label: '', value: undefined, children: undefined }

  get isEmpty(): boolean {
    return this.#root.value === undefined && this.#root.children === undefined
  }

  get(key: string): V | undefined {
    let node: Node<V> | undefined = this.#root
    let at = 0
    while (at < key.length) {
      node = node.children?.get(key.charCodeAt(at))
      if (node === undefined || !key.startsWith(node.label, at)) return undefined
      at += node.label.length
    }
    return node.value
  }

  put(key: string, value: V): void {
    let node = this.#root
    let at = 0
    while (at < key.length) {
      node.children ??= new Map()
      const child = node.children.get(key.charCodeAt(at))
      if (child === undefined) {
        node.children.set(key.charCodeAt(at), { label: key.slice(at), value, children: undefined })
        return
      }
      const shared = commonLength(child.label, key, at)
      node = shared === child.label.length ? child : split(node.children, child, shared)
      at += shared
    }
    node.value = value
  }

  remove(key: string): void {
    const path = [this.#root]
    let node = this.#root
    let at = 0
    while (at < key.length) {
      const child = node.children?.get(key.charCodeAt(at))
      if (child === undefined || !key.startsWith(child.label, at)) return
      at += child.label.length
      path.push(child)
      node = child
    }
    node.value = undefined
    tidy(node, path.at(-2))
    const above = path.at(-2)
    if (above !== undefined) tidy(above, path.at(-3))
  }

  /** In steps of their own: a node may have very many children. */
  *values(): Generator<V> {
    const open: Iterator<Node<V>>[] = [[this.#root].values()]
    for (let nodes = open.at(-1); nodes !== undefined; nodes = open.at(-1)) {
      const { done, value: node } = nodes.next()
      if (done === true) open.pop()
      else {
        if (node.value !== undefined) yield node.value
        if (node.children !== undefined) open.push(node.children.values())
      }
    }
  }

  /** Calls nobody: pushes the value of every key that stands in `text` at `from`. */
  collect(text: string, from: number, into: V[]): void {
    let node: Node<V> | undefined = this.#root
    let at = from
    for (;;) {
      if (node.value !== undefined) into.push(node.value)
      if (at >= text.length || node.children === undefined) return
      node = node.children.get(text.charCodeAt(at))
      if (node === undefined || !text.startsWith(node.label, at)) return
      at += node.label.length
    }
  }
}

interface Node<V> {
  label: string
  value: V | undefined
  children: Map<number, Node<V>> | undefined
}

function commonLength(label: string, key: string, at: number): number {
  let length = 1
  while (length < label.length && at + length < key.length && label[length] === key[at + length]) length++
  return length
}

function split<V>(siblings: Map<number, Node<V>>, child: Node<V>, at: number): Node<V> {
  const upper: Node<V> = { label: child.label.slice(0, at), value: undefined, children: new Map() }
  child.label = child.label.slice(at)
  upper.children?.set(child.label.charCodeAt(0), child)
  siblings.set(upper.label.charCodeAt(0), upper)
  return upper
}

/** A node without a value goes when it has no child, and is joined with its child when it has one. */
function tidy<V>(node: Node<V>, parent: Node<V> | undefined): void {
  if (node.children?.size === 0) node.children = undefined
  if (node.value !== undefined || parent === undefined) return
  if (node.children === undefined) {
    parent.children?.delete(node.label.charCodeAt(0))
    if (parent.children?.size === 0) parent.children = undefined
    return
  }
  if (node.children.size > 1) return
  for (const child of node.children.values()) {
    node.label += child.label
    node.value = child.value
    node.children = child.children
  }
}
