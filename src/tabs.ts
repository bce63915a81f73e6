export { createTabsSocket, shareSession } from './tabs/tabs.js'
export type {
  CreateSessionSocket,
  SharedSessionOptions,
  Sharing,
  TabsEvents,
  TabsGap,
  TabsHeartbeatOptions,
  TabsReplayOptions,
  TabsSocket,
  TabsSocketOptions,
  TabsWorker,
} from './tabs/types.js'
