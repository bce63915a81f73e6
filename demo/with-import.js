import { createSocket } from '/dist/index.js'
import { start } from './page.js'

start(createSocket)
