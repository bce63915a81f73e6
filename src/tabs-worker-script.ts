// The shared worker for pages without a bundler. It runs as a classic script and as a module.
import { serveTabs } from './tabs/worker.js'

serveTabs()
