import { tlsSettings } from '@tributary/common/config/tls-settings'

/** How tools speak to the gRPC services of ingesters. */
export const adminAccessSettings = {
  adminTls: {
    ...tlsSettings.adminTls,
    sentence:
      'Admin ports of the cluster speak TLS; NODE_EXTRA_CA_CERTS names an authority of your own.',
  },
}
