/** The faults of Kubernetes that alerts of controllers are for. */
import type { AlertScene, SceneSite } from './alert-scenes.ts'
import type { ApiServer } from '../kubernetes/api-server.ts'

export const CONTROLLER_SCENES: readonly AlertScene[] = [
  {
    fault: 'the API server of Kubernetes killed',
    alerts: ['ControllerWithoutLeader', 'ControllerFailures'],
    begin: (_cluster, site) => apiServerOf(site).kill(),
    end: (_cluster, site) => apiServerOf(site).restart(),
  },
]

function apiServerOf({ controllers }: SceneSite): ApiServer {
  const apiServer = controllers?.apiServer
  if (apiServer === undefined) throw new Error('no API server: set TRIBUTARY_KUBERNETES_TOOLS')
  return apiServer
}
