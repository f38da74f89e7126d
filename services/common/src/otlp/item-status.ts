/** How the decode of one item ended; from `rejected` on, the reason is the difference. */
export const ItemStatus = {
  stored: 0,
  /** Legal but not in plain form: undo, normalize, decode again. */
  odd: 1,
  /** Plus a `Reason`. */
  rejected: 2,
} as const
