// The exports of the script tag's global, `SteadySocket`.
export * from './index.js'
export { SteadyWebSocket as WebSocket } from './websocket/steady-websocket.js'
