/**
 * Named places where a test makes this process fail: `TRIBUTARY_FAILPOINTS=wal:after-write=exit@3`.
 *
 *   list   = point *("," point)
 *   point  = name "=" action ["@" nth ["+"]]      nth: which hit, from 1 (the default); "+": and all later ones
 *   action = "exit" | "throw" | "hang" | "sleep(" ms ")"
 *
 * `exit` is SIGKILL to the own process: no exit handler, no finished write of the thread pool, from
 * any thread; a shell sees status 137. Unset, a failpoint costs one comparison. Worker threads count
 * their own hits.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { failpointSpecification } from './config/config.ts'
import { AppError } from './errors.ts'

type Action =
  | { readonly kind: 'exit' | 'throw' | 'hang' }
  | { readonly kind: 'sleep'; readonly durationMs: number }

interface Point {
  readonly action: Action
  readonly nth: number
  readonly isRepeated: boolean
  hits: number
}

interface Hook {
  readonly names: ReadonlySet<string>
  readonly run: (name: string) => void | Promise<void>
}

let hook: Hook | undefined
let points: Map<string, Point> | undefined = parseFailpoints(failpointSpecification())

/**
 * Fails here when the environment asks for it. Await the result where the place is asynchronous.
 * @throws AppError internal, for the action `throw`
 */
export function failpoint(name: string): void | Promise<void> {
  if (hook !== undefined && hook.names.has(name)) return hook.run(name)
  if (points === undefined) return undefined
  const action = nextAction(points, name)
  if (action === undefined) return undefined
  if (action.kind === 'sleep') return sleep(action.durationMs)
  if (action.kind === 'hang') return hang()
  return fail(action.kind, name)
}

/** The same for synchronous code: `sleep` and `hang` block the thread. */
export function failpointSync(name: string): void {
  if (hook !== undefined && hook.names.has(name)) void hook.run(name)
  if (points === undefined) return
  const action = nextAction(points, name)
  if (action === undefined) return
  if (action.kind === 'sleep') blockThread(action.durationMs)
  else if (action.kind === 'hang') blockThread(Infinity)
  else fail(action.kind, name)
}

/** True where this failpoint may still act: lets a caller prepare a half-done state to fail in. */
export function isFailpointArmed(name: string): boolean {
  return hook?.names.has(name) === true || (points !== undefined && points.has(name))
}

/**
 * For simulations: calls back at these failpoints, and goes on when what it answers resolves; a promise
 * that never does stops right there what came by. Undefined takes the hook away.
 */
export function hookFailpoints(names: readonly string[], run: Hook['run'] | undefined): void {
  hook = run === undefined ? undefined : { names: new Set(names), run }
}

/** Replaces what the environment said; undefined switches all off. For tests within one process. */
export function setFailpoints(specification: string | undefined): void {
  points = parseFailpoints(specification)
}

function parseFailpoints(specification: string | undefined): Map<string, Point> | undefined {
  if (specification === undefined || specification.trim() === '') return undefined
  const parsed = new Map<string, Point>()
  for (const part of specification.split(',')) {
    const match = /^([\w.:-]+)=(exit|throw|hang|sleep\((\d+)\))(?:@(\d+)(\+)?)?$/.exec(part.trim())
    if (match === null) {
      throw new AppError('invalid_config', 'failpoint not understood', {
        details: { failpoint: part, expected: 'name=exit|throw|hang|sleep(ms)[@nth[+]]' },
      })
    }
    const [, name, word, durationMs, nth, plus] = match
    parsed.set(name!, {
      action:
        durationMs === undefined
          ? { kind: word as 'exit' | 'throw' | 'hang' }
          : { kind: 'sleep', durationMs: Number(durationMs) },
      nth: Number(nth ?? 1),
      isRepeated: plus !== undefined,
      hits: 0,
    })
  }
  return parsed
}

function nextAction(active: Map<string, Point>, name: string): Action | undefined {
  const point = active.get(name)
  if (point === undefined) return undefined
  point.hits++
  const isDue = point.isRepeated ? point.hits >= point.nth : point.hits === point.nth
  return isDue ? point.action : undefined
}

function fail(kind: 'exit' | 'throw', name: string): void {
  if (kind === 'exit') process.kill(process.pid, 'SIGKILL')
  throw new AppError('internal', 'failpoint reached', { details: { failpoint: name } })
}

/** Never resolves and keeps the process alive, as a stuck call would. */
function hang(): Promise<void> {
  return new Promise(() => {
    setInterval(() => undefined, 2 ** 30)
  })
}

function blockThread(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs)
}
