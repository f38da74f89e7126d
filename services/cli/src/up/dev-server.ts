/** The servers below a development cluster: found, or started here, and by which way. */
import type { ChildProgram } from './child-program.ts'
import type { ContainerEngine, ContainerPlan } from './container-engine.ts'
import { isListening } from './free-address.ts'

export const SERVER_WAYS = ['auto', 'container', 'local'] as const
export type ServerWays = (typeof SERVER_WAYS)[number]

export interface DevServer {
  readonly name: string
  /** For people: which way was taken, and where it is. */
  readonly told: string
  /** Undefined: it is not ours to watch. */
  readonly program: ChildProgram | undefined
  stop(): Promise<void>
}

export interface ServerSite {
  /** Of the whole cluster; exists. */
  readonly folder: string
  readonly ways: ServerWays
  /** Undefined where none runs, or none is wanted. */
  readonly engine: ContainerEngine | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Tells what goes on. */
  readonly tell: (line: string) => void
}

const READY_TIMEOUT_MS = 60_000
const POLL_MS = 100
const STOP_TIMEOUT_MS = 5000

/** @throws Error where the program ends before it listens, or the time is over */
export async function untilListening(
  name: string,
  port: number,
  program: ChildProgram | undefined,
): Promise<void> {
  for (const deadlineMs = performance.now() + READY_TIMEOUT_MS; ;) {
    if (program?.isRunning === false) throw new Error(`${name} has ended:\n${program.logTail}`)
    if (await isListening('127.0.0.1', port)) return
    if (performance.now() > deadlineMs) throw new Error(`${name} does not listen on ${port}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

export function ofProgram(name: string, told: string, program: ChildProgram): DevServer {
  return { name, told, program, stop: () => program.stop(STOP_TIMEOUT_MS) }
}

/** Starts a container, or says why not: then another way is tried. */
export async function tryContainer(
  site: ServerSite,
  name: string,
  plan: ContainerPlan,
): Promise<DevServer | undefined> {
  const { engine, ways, tell } = site
  if (engine === undefined || ways === 'local') return undefined
  try {
    tell(`${name}: starting ${plan.image} with ${engine.program}`)
    await engine.start(plan)
    await untilListening(name, plan.port[0], undefined)
    return {
      name,
      told: `${name}: container ${plan.name} of ${engine.program} (${plan.image}), port ${plan.port[0]}`,
      program: undefined,
      stop: () => engine.stop(plan.name),
    }
  } catch (error) {
    await engine.stop(plan.name).catch(() => undefined)
    if (ways === 'container') throw error
    tell(`${name}: no container (${error instanceof Error ? error.message : String(error)})`)
    return undefined
  }
}
