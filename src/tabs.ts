export { createTabsSocket, shareSession } from './tabs/tabs.js'
export type {
  CreateSessionSocket,
  SharedSessionOptions,
  SharedWorkerLike,
  Sharing,
  TabsEvents,
  TabsGap,
  TabsHeartbeatOptions,
  TabsReplayOptions,
  TabsSocket,
  TabsSocketOptions,
  TabsWorker,
} from './tabs/types.js'
