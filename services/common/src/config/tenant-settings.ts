/** Settings of who may write as which tenant. */
import { duration, text } from './setting.ts'

const SECOND_MS = 1000
const HOUR_MS = 3600 * SECOND_MS

export const credentialSettings = {
  apiKeys: text({
    default: undefined,
    bounds: 'path of a JSON file, or redis',
    sentence:
      'Where API keys are, as `tributary keys` writes them. Without it, anyone writes as any tenant.',
  }),
  apiKeyStaleMaxMs: duration({
    default: HOUR_MS,
    min: 30 * SECOND_MS,
    max: 24 * HOUR_MS,
    sentence:
      'How long keys in use are believed while the keys can not be read: they may be revoked.',
  }),
}
