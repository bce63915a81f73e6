export {
  SteadyWebSocket,
  type SteadyWebSocketConstructor,
  webSocketOver,
} from './websocket/steady-websocket.js'
export type {
  SteadyCloseEvent,
  SteadyErrorEvent,
  SteadyWebSocketOptions,
  WebSocketInit,
} from './websocket/types.js'
