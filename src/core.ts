export {
  type AssembledCreateSocket,
  type AssembledOptions,
  type AssembledSocket,
  assemble,
  type Parts,
} from './core/assemble.js'
export { checks } from './core/checks.js'
export { delivery } from './core/delivery.js'
export { createEmitter, type Emitter, type Listener, type ListenOptions } from './core/emitter.js'
export { type CloseInfo, SocketError, type SocketErrorCode } from './core/errors.js'
export { handover } from './core/handover.js'
export { heartbeat } from './core/heartbeat.js'
export { type Outage, type OutageOptions, type OutageSource, onOutage } from './core/outage.js'
export { type BrowserEventsOptions, browserEvents, createBrowserEvents, pageEvents } from './core/page.js'
export { prepare } from './core/prepare.js'
export { backoff } from './core/retry.js'
