export * from './websocket/steady-websocket.js'
