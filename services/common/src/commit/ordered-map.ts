/**
 * Maps `items` with at most `inFlightMax` calls at a time and yields the results in the order of
 * the items. The first failure in that order is thrown; leaving early waits for nothing.
 */
export async function* mapOrdered<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  inFlightMax: number,
  map: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = []
  for await (const item of items) {
    const result = map(item)
    // its failure is thrown when its turn comes, not as an unhandled rejection before
    result.catch(() => undefined)
    running.push(result)
    if (running.length >= inFlightMax) yield await running.shift()!
  }
  for (const result of running) yield await result
}
