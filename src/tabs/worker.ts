import { startHub } from './hub.js'
import type { HubSettings } from './hub-socket.js'
import { findPlatform } from './platform.js'
import { HUB } from './protocol.js'

/** Options of `serveTabs()`. */
export interface ServeTabsOptions extends HubSettings {}

/**
 * Makes this shared worker hold the connections of all tabs that pass it as the option `worker` of `createTabsSocket()`. Call it once, at the
 * top level of the worker's script.
 *
 * ```ts
 * import { serveTabs } from 'steadysocket/tabs-worker'
 *
 * serveTabs()
 * ```
 */
export const serveTabs = (options: ServeTabsOptions = {}): void => {
  const names = new Set<string>()
  const platform = findPlatform()
  globalThis.addEventListener('connect', event => {
    const [port] = (event as MessageEvent).ports
    if (!port) return
    port.onmessage = ({ data: { name, hub } }) => {
      // A tab of another version cannot use this hub. It receives no answer, and then holds the connection itself.
      if (hub !== HUB || names.has(name)) return
      names.add(name)
      platform.lock(`${name} ${HUB}`, () => startHub(name, 'worker', platform, options))
    }
  })
}
