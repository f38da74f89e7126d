/**
 * How the API server is reached: the service account of the pod or a kubeconfig, clients that give
 * up after some seconds, and what goes wrong as AppError kubernetes_unavailable.
 */
import { existsSync } from 'node:fs'
import {
  ApiException,
  createConfiguration,
  KubeConfig,
  PatchStrategy,
  ServerConfiguration,
  type Configuration,
  type Middleware,
} from '@kubernetes/client-node'
import { AppError } from '@tributary/common/errors'

/** A pod has it where its account is mounted. */
const ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'
/** Less than what the holder of a lease has left after a renewal that failed. */
const CALL_TIMEOUT_MS = 4000

export interface KubernetesPlace {
  readonly kubeconfig: string | undefined
  readonly namespace: string | undefined
}

export class KubernetesConnection {
  readonly config = new KubeConfig()
  readonly namespace: string
  readonly #configuration: Configuration

  /** @throws AppError invalid_config where neither an account nor a file says where the server is */
  constructor({ kubeconfig, namespace }: KubernetesPlace) {
    if (kubeconfig !== undefined) this.#loadFile(kubeconfig)
    else if (existsSync(ACCOUNT_TOKEN)) this.config.loadFromCluster()
    else {
      throw new AppError('invalid_config', 'no service account is mounted: set --kubeconfig', {
        details: {
          problems: ['no service account is mounted here: --kubeconfig must name a file'],
        },
      })
    }
    const context = this.config.getContextObject(this.config.getCurrentContext())
    this.namespace = namespace ?? context?.namespace ?? 'default'
    this.#configuration = createConfiguration({
      baseServer: new ServerConfiguration(this.config.getCurrentCluster()!.server, {}),
      authMethods: { default: this.config },
      promiseMiddleware: [BOUNDED_CALLS],
    })
  }

  /** A client of one API group, as `new AppsV1Api(configuration)`. */
  client<Api>(make: new (configuration: Configuration) => Api): Api {
    return new make(this.#configuration)
  }

  #loadFile(kubeconfig: string): void {
    try {
      this.config.loadFromFile(kubeconfig)
    } catch (cause) {
      throw unreadable(kubeconfig, cause)
    }
    if (this.config.getCurrentCluster() === null) throw unreadable(kubeconfig, undefined)
  }
}

/** Runs a call; whatever goes wrong is an AppError, with the server's status where it gave one. */
export async function callKubernetes<Result>(
  what: string,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call()
  } catch (cause) {
    const status = cause instanceof ApiException ? cause.code : undefined
    const details = { what, status, answer: answerOf(cause) }
    throw new AppError('kubernetes_unavailable', 'kubernetes did not do it', { cause, details })
  }
}

/** The HTTP status that a failed call was answered with; undefined where there was none. */
export function statusOf(error: unknown): number | undefined {
  const status = error instanceof AppError ? error.details['status'] : undefined
  return typeof status === 'number' ? status : undefined
}

const BOUNDED_CALLS: Middleware = {
  pre: (request) => {
    request.setSignal(AbortSignal.timeout(CALL_TIMEOUT_MS))
    // the client does not say which of the kinds of patches a body is
    const isPatch = request.getHttpMethod().toString() === 'PATCH'
    if (isPatch) request.setHeaderParam('Content-Type', PatchStrategy.JsonPatch)
    return Promise.resolve(request)
  },
  post: (response) => Promise.resolve(response),
}

/** The sentence of the server's Status object, where it sent one. */
function answerOf(cause: unknown): string {
  if (!(cause instanceof ApiException))
    return cause instanceof Error ? cause.message : String(cause)
  const body: unknown = cause.body
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' ? message : text
  } catch {
    return text.slice(0, 500)
  }
}

function unreadable(kubeconfig: string, cause: unknown): AppError {
  const problem = `--kubeconfig ${kubeconfig} can not be used: it names no cluster`
  const details = { problems: [problem] }
  return new AppError('invalid_config', 'kubeconfig can not be used', { cause, details })
}
