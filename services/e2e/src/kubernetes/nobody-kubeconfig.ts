/** Of a cluster that is not there: nobody listens on port 9. */
export const NOBODY_KUBECONFIG = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'none',
  clusters: [{ name: 'none', cluster: { server: 'https://127.0.0.1:9' } }],
  users: [{ name: 'none', user: {} }],
  contexts: [{ name: 'none', context: { cluster: 'none', user: 'none', namespace: 'none' } }],
} as const
