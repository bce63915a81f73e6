// The script tag before this one has left the package in a global, as on a page without a build step.
import { start } from './page.js'

start(window.SteadySocket.createSocket)
