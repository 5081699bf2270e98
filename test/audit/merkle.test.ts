import { RFC9162 } from '@transmute/rfc9162'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CompactRange,
  consistencySpans,
  EMPTY_ROOT,
  inclusionSpans,
  isConsistent,
  isIncluded,
  leafHash,
  nodeHash,
  type Span,
  subtreesOf,
  treeRoot,
} from '../../src/audit/merkle.ts'

/** The leaves and the roots at each size that implementations of Certificate Transparency test each other with. */
const KNOWN_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
]
const KNOWN_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const records = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 70 })
const leavesOf = (entries: readonly Uint8Array[]) => entries.map((entry) => leafHash(Buffer.from(entry)))
const rootOver = (leaves: readonly Buffer[], { start, end }: Span) => treeRoot(leaves.slice(start, end))
const asBuffers = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash))

function inclusionProof(leaves: readonly Buffer[], index: number): Buffer[] {
  return inclusionSpans(index, leaves.length).map((span) => rootOver(leaves, span))
}

function consistencyProof(leaves: readonly Buffer[], from: number): Buffer[] {
  return consistencySpans(from, leaves.length).map((span) => rootOver(leaves, span))
}

describe('a Merkle tree', () => {
  test('has the roots that Certificate Transparency knows', () => {
    const leaves = KNOWN_LEAVES.map((hex) => leafHash(Buffer.from(hex, 'hex')))
    expect(leaves.map((_, index) => treeRoot(leaves.slice(0, index + 1)).toString('hex'))).toEqual(KNOWN_ROOTS)
    expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  test('has the root that another implementation has', async () => {
    await fc.assert(
      fc.asyncProperty(records, async (entries) => {
        const theirs = Buffer.from(await RFC9162.treeHead(entries))
        expect(treeRoot(leavesOf(entries)).equals(theirs)).toBe(true)
      }),
    )
  })

  test('can be gone on with from its whole subtrees, at any size', () => {
    fc.assert(
      fc.property(records, fc.nat(), (entries, cut) => {
        const leaves = leavesOf(entries)
        const size = cut % (leaves.length + 1)
        const hashes = subtreesOf({ start: 0, end: size }).map(({ height, index }) =>
          rootOver(leaves, { start: index * 2 ** height, end: (index + 1) * 2 ** height }),
        )
        const range = new CompactRange(size, hashes)
        for (const leaf of leaves.slice(size)) range.append(leaf)
        expect(range.root()).toEqual(treeRoot(leaves))
      }),
    )
  })

  test('tells of each subtree that becomes whole, once, with its root', () => {
    const leaves = leavesOf(Array.from({ length: 21 }, (_, index) => Uint8Array.of(index)))
    const range = new CompactRange()
    const whole: string[] = []
    range.onWhole = ({ height, index }, hash) => {
      const span = { start: index * 2 ** height, end: (index + 1) * 2 ** height }
      expect(hash).toEqual(rootOver(leaves, span))
      whole.push(`${height}/${index}`)
    }
    for (const leaf of leaves) range.append(leaf)
    expect(new Set(whole).size).toBe(whole.length)
    expect(whole.filter((name) => name.startsWith('2/'))).toEqual(['2/0', '2/1', '2/2', '2/3', '2/4'])
    expect(whole.filter((name) => name.startsWith('4/'))).toEqual(['4/0'])
  })
})

describe('an inclusion proof', () => {
  test('is that of another implementation, which accepts it, as we accept theirs', async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.nat(), async (entries, pick) => {
        const leaves = leavesOf(entries)
        const index = pick % leaves.length
        const root = treeRoot(leaves)
        const leaf = leaves[index] ?? EMPTY_ROOT
        const theirs = asBuffers(await RFC9162.PATH(index, entries))
        expect(inclusionProof(leaves, index)).toEqual(theirs)
        expect(isIncluded(leaf, index, leaves.length, theirs, root)).toBe(true)
        const proof = {
          log_id: '',
          tree_size: leaves.length,
          leaf_index: index,
          inclusion_path: inclusionProof(leaves, index),
        }
        expect(await RFC9162.verifyInclusionProof(root, leaf, proof)).toBe(true)
      }),
    )
  })

  test('holds for nothing else: another leaf, place, size, root, or a proof with one hash changed', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.nat(), (entries, pick, twist) => {
        const leaves = leavesOf(entries)
        const size = leaves.length
        const index = pick % size
        const proof = inclusionProof(leaves, index)
        const root = treeRoot(leaves)
        const leaf = leaves[index] ?? EMPTY_ROOT
        const other = leafHash(Buffer.from('something else, and longer than any of the entries are'))
        expect(isIncluded(other, index, size, proof, root)).toBe(false)
        expect(isIncluded(leaf, index, size, proof, other)).toBe(false)
        expect(isIncluded(leaf, size, size, proof, root)).toBe(false)
        expect(isIncluded(leaf, -1, size, proof, root)).toBe(false)
        expect(isIncluded(leaf, index, size, [...proof, other], root)).toBe(false)
        if (proof.length === 0) return
        expect(isIncluded(leaf, index, size, proof.slice(1), root)).toBe(false)
        const bad = proof.with(twist % proof.length, other)
        expect(isIncluded(leaf, index, size, bad, root)).toBe(false)
        expect(isIncluded(leaf, index, size, proof.with(0, Buffer.alloc(31)), root)).toBe(false)
      }),
    )
  })

  test('goes beyond 32 bits', () => {
    const [index, size] = [2 ** 40 + 5, 2 ** 41 + 3]
    const leaf = leafHash(Buffer.from('x'))
    const spans = inclusionSpans(index, size)
    const proof = spans.map((_, place) => leafHash(Buffer.of(place)))
    // What the root is then: by the spans, which say on which side each of them stands.
    const root = spans.reduce(
      (hash, { start }, place) =>
        start > index ? nodeHash(hash, proof[place] ?? leaf) : nodeHash(proof[place] ?? leaf, hash),
      leaf,
    )
    expect(isIncluded(leaf, index, size, proof, root)).toBe(true)
    expect(isIncluded(leaf, index + 1, size, proof, root)).toBe(false)
  })
})

describe('a consistency proof', () => {
  test('is that of another implementation, which accepts it, as we accept theirs', async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.nat(), async (entries, pick) => {
        const leaves = leavesOf(entries)
        const to = leaves.length
        const from = 1 + (pick % to)
        const [fromRoot, toRoot] = [treeRoot(leaves.slice(0, from)), treeRoot(leaves)]
        expect(isConsistent(from, to, consistencyProof(leaves, from), fromRoot, toRoot)).toBe(true)
        if (from === to) return
        const theirs = asBuffers(await RFC9162.PROOF(from, entries))
        // Theirs always begins with the old root where that is in the new tree; the RFC leaves out what is known.
        const isInside = Number.isInteger(Math.log2(from))
        expect(consistencyProof(leaves, from)).toEqual(isInside ? theirs.slice(1) : theirs)
        const proof = { log_id: '', tree_size_1: from, tree_size_2: to, consistency_path: theirs }
        expect(await RFC9162.verifyConsistencyProof(fromRoot, toRoot, proof)).toBe(true)
      }),
    )
  })

  test('holds for no tree that changed what it had', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.nat(), (entries, pick, twist) => {
        const leaves = leavesOf(entries)
        const to = leaves.length
        const from = 1 + (pick % to)
        const changed = leaves.with(
          twist % from,
          leafHash(Buffer.from('changed, and longer than any entry: a forged one')),
        )
        const [fromRoot, toRoot] = [treeRoot(leaves.slice(0, from)), treeRoot(changed)]
        expect(isConsistent(from, to, consistencyProof(changed, from), fromRoot, toRoot)).toBe(false)
        expect(isConsistent(from, to, consistencyProof(leaves, from), fromRoot, toRoot)).toBe(false)
        expect(isConsistent(to, from, [], fromRoot, toRoot)).toBe(false)
      }),
    )
  })

  test('from nothing is empty, and holds', () => {
    const leaves = leavesOf([Uint8Array.of(1), Uint8Array.of(2)])
    expect(consistencyProof(leaves, 0)).toEqual([])
    expect(isConsistent(0, 2, [], EMPTY_ROOT, treeRoot(leaves))).toBe(true)
    expect(isConsistent(0, 2, [], treeRoot(leaves), treeRoot(leaves))).toBe(false)
  })
})
