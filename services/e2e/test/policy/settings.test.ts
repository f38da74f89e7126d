import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { controllerSettings } from '@tributary/common/config/controller-settings'
import { ingesterSettings } from '@tributary/common/config/ingester-settings'
import { routerSettings } from '@tributary/common/config/router-settings'
import { standaloneSettings } from '@tributary/common/config/settings'

import { filesEndingWith, readText } from './source-tree.ts'

describe('settings', () => {
  it('are all read by some source: a flag without effect is a lie', () => {
    const text = filesEndingWith('.ts')
      .filter(({ path }) =>
        /^services\/(common|router|ingester|controller|standalone|cli)\/src\//.test(path),
      )
      .filter(({ path }) => !path.startsWith('services/common/src/config/'))
      .map((file) => file.text)
      .concat(
        readText('services/common/src/config/settings.ts').split('function objectStoreUrl')[1] ??
          '',
      )
      .join('\n')
    const idle = Object.keys({
      ...standaloneSettings,
      ...routerSettings,
      ...ingesterSettings,
      ...controllerSettings,
    }).filter((key) => !new RegExp(`\\b${key}\\b`).test(text))
    assert.deepEqual(idle, [])
  })
})
