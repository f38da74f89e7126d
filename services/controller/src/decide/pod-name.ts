/** Ordinals of a StatefulSet's pods. */

export interface StatefulSetOrdinals {
  readonly name: string
  readonly replicas: number
  /** `spec.ordinals.start`. */
  readonly ordinalStart: number
}

/** The pod that goes when there is one less: always the one with the highest ordinal. */
export function lastPodName({ name, replicas, ordinalStart }: StatefulSetOrdinals): string {
  return `${name}-${String(ordinalStart + replicas - 1)}`
}

/** Whether a pod is one of more than there should be: it goes as soon as Kubernetes gets to it. */
export function isSurplus(
  { name, replicas, ordinalStart }: StatefulSetOrdinals,
  pod: string,
): boolean {
  const ordinal = pod.startsWith(`${name}-`) ? Number(pod.slice(name.length + 1)) : NaN
  return Number.isInteger(ordinal) && ordinal >= ordinalStart + replicas
}
