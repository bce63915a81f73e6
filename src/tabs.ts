export { createTabsSocket } from './tabs/tabs.js'
export type {
  Sharing,
  TabsEvents,
  TabsGap,
  TabsHeartbeatOptions,
  TabsReplayOptions,
  TabsSocket,
  TabsSocketOptions,
  TabsWorker,
} from './tabs/types.js'
