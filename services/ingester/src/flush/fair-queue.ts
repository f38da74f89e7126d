/**
 * A queue whose owners take turns: one with a hundred items waits behind one item of each other, not
 * the others behind its hundred. Items of one owner keep their order.
 */
export class FairQueue<Item> {
  /** By owner; a Map keeps the order in which owners came, and whoever was served goes to its end. */
  readonly #waiting = new Map<string, Item[]>()

  push(owner: string, item: Item): void {
    const items = this.#waiting.get(owner)
    if (items === undefined) this.#waiting.set(owner, [item])
    else items.push(item)
  }

  /** Puts an item before all others of its owner. */
  unshift(owner: string, item: Item): void {
    this.#waiting.set(owner, [item, ...(this.#waiting.get(owner) ?? [])])
  }

  /** The next item; undefined when nobody waits. */
  shift(): Item | undefined {
    for (const [owner, items] of this.#waiting) {
      const item = items.shift()
      this.#waiting.delete(owner)
      if (items.length > 0) this.#waiting.set(owner, items)
      return item
    }
    return undefined
  }

  /** Takes an item out before its turn; false where it does not wait. */
  remove(owner: string, item: Item): boolean {
    const items = this.#waiting.get(owner) ?? []
    const index = items.indexOf(item)
    if (index < 0) return false
    items.splice(index, 1)
    if (items.length === 0) this.#waiting.delete(owner)
    return true
  }
}
