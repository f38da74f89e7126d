/** Installs the Kafka of the tests, once per machine, so that no test waits for a download. */
import { testKafkaBrokers } from '@tributary/common/config/config'
import { prepareKafka } from '@tributary/common/testing/kafka-server'

if (testKafkaBrokers() === undefined) await prepareKafka()
