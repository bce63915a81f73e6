// What a script tag brings, as `SteadySocket`.
export * from './index.js'
export { SteadyWebSocket as WebSocket } from './websocket/steady-websocket.js'
