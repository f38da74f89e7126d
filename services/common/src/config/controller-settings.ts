/** What a controller takes: where Kubernetes is, and how it scales and drains ingesters. */
import { clusterSettings } from './cluster-settings.ts'
import { REDIS_CONNECTION_RELATIONS, redisConnectionSettings } from './redis-settings.ts'
import { boolean, duration, integer, text } from './setting.ts'
import type { SettingSection } from './setting-report.ts'
import type { ConfigOf, Relation } from './setting-table.ts'
import { processSettings } from './settings.ts'
import { TLS_RELATIONS, tlsSettings } from './tls-settings.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const OBJECT_NAME = {
  pattern: /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
  bounds: 'a name of Kubernetes: small letters, digits, - and .',
}

export const kubernetesSettings = {
  kubeconfig: text({
    default: undefined,
    sentence: 'File that says where the API server is; default: the service account of the pod.',
  }),
  kubernetesNamespace: text({
    default: undefined,
    ...OBJECT_NAME,
    sentence: 'Namespace of the ingesters; default: that of the pod, or of the kubeconfig.',
  }),
  statefulSet: text({
    default: 'tributary-ingester',
    ...OBJECT_NAME,
    sentence:
      'The StatefulSet of the ingesters. Their --member-name must be the name of their pod.',
  }),
  leaseName: text({
    default: 'tributary-controller',
    ...OBJECT_NAME,
    sentence: 'Lease by which one of several controllers acts.',
  }),
  leaseDurationMs: duration({
    default: 15 * SECOND_MS,
    min: 3 * SECOND_MS,
    max: 10 * MINUTE_MS,
    sentence: 'Another controller takes over when the lease was not renewed for this long.',
  }),
}

export const scalingSettings = {
  scaling: boolean({
    default: true,
    sentence: 'Set the number of ingesters; false leaves it to an autoscaler or a person.',
  }),
  observeIntervalMs: duration({
    default: 2 * SECOND_MS,
    min: 200,
    max: MINUTE_MS,
    sentence: 'How often ingesters are asked and decided about.',
  }),
  replicasMin: integer({ default: 1, min: 1, max: 1000, sentence: 'Least ingesters.' }),
  replicasMax: integer({
    default: 8,
    min: 1,
    max: 1000,
    sentence: 'Most ingesters; more than there are partitions are never started.',
  }),
  lagTargetMs: duration({
    default: 30 * SECOND_MS,
    min: SECOND_MS,
    max: HOUR_MS,
    sentence:
      'Fetching may be this far behind what arrives. Past it, and where it will not catch up within the same time, ingesters are added.',
  }),
  memoryPercentMax: integer({
    default: 70,
    min: 10,
    max: 100,
    sentence: 'Share of --memtable-bytes-max in use above which ingesters are added.',
  }),
  busyPercentMax: integer({
    default: 70,
    min: 5,
    max: 100,
    sentence:
      'Ingesters are removed only if those that remain would be no busier than this (event loop or flush workers, of their time).',
  }),
  scaleOutDelayMs: duration({
    default: 15 * SECOND_MS,
    min: 0,
    max: HOUR_MS,
    sentence: 'Ingesters are added once there were too few for this long.',
  }),
  scaleOutIntervalMs: duration({
    default: MINUTE_MS,
    min: SECOND_MS,
    max: HOUR_MS,
    sentence: 'Time for those added to take partitions over, before more are added.',
  }),
  scaleOutStepMax: integer({
    default: 2,
    min: 1,
    max: 100,
    sentence: 'Most ingesters added at a time.',
  }),
  scaleInCoolDownMs: duration({
    default: 5 * MINUTE_MS,
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    sentence:
      'One ingester is removed when there were enough without it for this long, and as long after any change of their number.',
  }),
  drainTimeoutMs: duration({
    default: MINUTE_MS,
    min: SECOND_MS,
    max: HOUR_MS,
    sentence:
      'An ingester that is removed gives its partitions away within this time, or does the rest while it stops.',
  }),
}

export const nodeDrainSettings = {
  nodeDrains: boolean({
    default: true,
    sentence:
      'Let ingesters on cordoned nodes give their partitions away before they are evicted; needs the right to read nodes.',
  }),
  nodeDrainHoldMs: duration({
    default: 10 * MINUTE_MS,
    min: 30 * SECOND_MS,
    max: 24 * HOUR_MS,
    sentence: 'One that was not evicted within this time takes partitions again.',
  }),
}

export const controllerSettings = {
  ...processSettings,
  memberName: clusterSettings.memberName,
  ...tlsSettings,
  ...kubernetesSettings,
  ...scalingSettings,
  ...nodeDrainSettings,
  ...redisConnectionSettings,
}
export type ControllerConfig = ConfigOf<typeof controllerSettings>

export const CONTROLLER_SECTIONS: readonly SettingSection[] = [
  { title: 'Process', table: processSettings },
  { title: 'Cluster', table: { memberName: clusterSettings.memberName } },
  { title: 'TLS', table: tlsSettings },
  { title: 'Kubernetes', table: kubernetesSettings },
  { title: 'Scaling', table: scalingSettings },
  { title: 'Node drains', table: nodeDrainSettings },
  { title: 'Redis', table: redisConnectionSettings },
]

export const CONTROLLER_RELATIONS: readonly Relation<typeof controllerSettings>[] = [
  ...TLS_RELATIONS,
  ...REDIS_CONNECTION_RELATIONS,
  (config) =>
    config.replicasMin > config.replicasMax
      ? '--replicas-min must not be above --replicas-max'
      : undefined,
  (config) =>
    config.adminPort !== 0 && config.adminPort === config.adminGrpcPort
      ? '--admin-port and --admin-grpc-port must differ'
      : undefined,
]
