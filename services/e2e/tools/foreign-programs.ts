/** Builds the S3 server and the clients of the tests, once per machine, so that no test waits for a compiler. */
import { testS3 } from '@tributary/common/config/config'
import { findCollector, findTelemetrygen } from '@tributary/common/testing/collector-programs'
import { findVersitygw } from '@tributary/common/local-servers/versitygw'

if (testS3().endpoint === undefined) findVersitygw()
findCollector()
findTelemetrygen()
