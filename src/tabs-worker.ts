export { type ServeTabsOptions, serveTabs } from './tabs/worker.js'
