/** The three OTLP signals, by the number that envelopes and commits carry. */
export const Signal = { logs: 1, spans: 2, metrics: 3 } as const
export type SignalName = keyof typeof Signal
export type Signal = (typeof Signal)[SignalName]

export const SIGNAL_NAMES = ['logs', 'spans', 'metrics'] as const satisfies readonly SignalName[]

/** The name of a signal number, or undefined where the number is none of ours. */
export function signalName(signal: number): SignalName | undefined {
  return SIGNAL_NAMES[signal - 1]
}
