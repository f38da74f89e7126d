/** Settings of a process as one of several: how the others know it. */
import { text } from './setting.ts'

export const clusterSettings = {
  memberName: text({
    default: undefined,
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/,
    bounds: 'up to 253 letters, digits, . _ and -',
    sentence:
      'Name of this process in the cluster, its own and the same after a restart; default: the host name.',
  }),
  advertiseHost: text({
    default: undefined,
    pattern: /^[A-Za-z0-9._:-]{1,253}$/,
    bounds: 'a host name or address',
    sentence:
      'Where others of the cluster reach this process; default: --host, or the host name where that is any address.',
  }),
}
