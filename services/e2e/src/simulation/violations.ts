/** What must hold (design ids D1 to L2) and did not, in one run. */
export type InvariantId =
  'D1' | 'D2' | 'D4' | 'O1' | 'O2' | 'O3' | 'F1' | 'F2' | 'F3' | 'C1' | 'C2' | 'L1' | 'L2'

export interface Violation {
  readonly invariant: InvariantId
  readonly what: string
}

const KEPT_MAX = 20

export class Violations {
  readonly found: Violation[] = []

  add(invariant: InvariantId, what: string): void {
    if (this.found.length < KEPT_MAX) this.found.push({ invariant, what })
  }
}
