/**
 * Metadata of one topic, version 12: the first versions of kafkajs's (up to 6) know no topic ids.
 *
 *     Metadata Request (Version: 12) => [topics] allow_auto_topic_creation include_topic_authorized_operations
 *       topics => topic_id UUID, name COMPACT_NULLABLE_STRING
 *     Metadata Response (Version: 12) => throttle_time_ms [brokers] cluster_id controller_id [topics]
 *       brokers => node_id INT32, host COMPACT_STRING, port INT32, rack COMPACT_NULLABLE_STRING
 *       topics => error_code name topic_id is_internal [partitions] topic_authorized_operations
 *         partitions => error_code partition_index leader_id leader_epoch [replica_nodes] [isr_nodes]
 *                       [offline_replicas]
 */
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import type { BrokerAddress } from './broker-socket.ts'
import { UNKNOWN_TOPIC_OR_PARTITION } from './kafka-error.ts'
import type { WireReader } from './wire-reader.ts'

export interface PartitionMetadata {
  readonly errorCode: number
  readonly partition: number
  /** -1: nobody leads it now. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly inSync: readonly number[]
}

export interface MetadataAnswer extends WireAnswer {
  readonly brokers: ReadonlyMap<number, BrokerAddress>
  readonly clusterId: string
  readonly errorCode: number
  readonly topicId: string
  readonly partitions: readonly PartitionMetadata[]
  /** Bit n: the asker may do the operation that AclOperation.java numbers n; 0 where not asked for. */
  readonly topicRights: number
}

/** An id of zeros: named instead. */
const NO_ID = 'A'.repeat(22)
/** Kafka's "not asked for". */
const RIGHTS_UNASKED = -(2 ** 31)

/** @param withRights asks also what the asker may do with the topic */
export function metadataRequest(topic: string, withRights = false): WireRequest<MetadataAnswer> {
  return {
    apiKey: 3,
    apiName: 'Metadata',
    apiVersion: 12,
    isFlexible: true,
    encode: (writer) => {
      writer.compactArrayLength(1).uuid(NO_ID).compactString(topic).noTags()
      // never made by asking for it
      writer
        .int8(0)
        .int8(withRights ? 1 : 0)
        .noTags()
    },
    decode: readMetadata,
  }
}

function readMetadata(reader: WireReader): MetadataAnswer {
  const throttleMs = reader.int32()
  const brokers = new Map(reader.compactArray(readBroker))
  const clusterId = reader.compactString() ?? ''
  reader.int32()
  const [topic] = reader.compactArray(readTopic)
  reader.tags()
  const missing = {
    errorCode: UNKNOWN_TOPIC_OR_PARTITION,
    topicId: NO_ID,
    partitions: [],
    topicRights: 0,
  }
  return { throttleMs, brokers, clusterId, ...(topic ?? missing) }
}

function readBroker(reader: WireReader): [number, BrokerAddress] {
  const id = reader.int32()
  const host = reader.compactString() ?? ''
  const port = reader.int32()
  reader.compactString()
  reader.tags()
  return [id, { host, port }]
}

function readTopic(reader: WireReader) {
  const errorCode = reader.int16()
  reader.compactString()
  const topicId = reader.uuid()
  reader.boolean()
  const partitions = reader.compactArray(readPartition)
  const rights = reader.int32()
  reader.tags()
  const topicRights = rights === RIGHTS_UNASKED ? 0 : rights
  return { errorCode, topicId, partitions, topicRights }
}

function readPartition(reader: WireReader): PartitionMetadata {
  const readNode = (): number => reader.int32()
  const errorCode = reader.int16()
  const partition = reader.int32()
  const leader = reader.int32()
  const leaderEpoch = reader.int32()
  const replicas = reader.compactArray(readNode)
  const inSync = reader.compactArray(readNode)
  reader.compactArray(readNode)
  reader.tags()
  return { errorCode, partition, leader, leaderEpoch, replicas, inSync }
}
