// How to import each library, according to its documentation, and how to create a socket with it. For scenarios that start their own
// process.
export const packages = {
  steadysocket: { from: 'steadysocket', name: '{ createSocket as Made }', make: 'Made(url)' },
  'steadysocket/websocket': {
    from: 'steadysocket/websocket',
    name: '{ SteadyWebSocket as Made }',
    make: 'new Made(url)',
  },
  'reconnecting-websocket': { from: 'reconnecting-websocket', name: 'Made', make: 'new Made(url)' },
  partysocket: { from: 'partysocket/ws', name: 'Made', make: 'new Made(url)' },
  '@nktkas/rews': { from: '@nktkas/rews', name: '{ ReconnectingWebSocket as Made }', make: 'new Made(url)' },
  'sturdy-websocket': { from: 'sturdy-websocket', name: 'Made', make: 'new Made(url)' },
  'robust-websocket': { from: 'robust-websocket', name: 'Made', make: 'new Made(url)' },
  'websocket-ts': {
    from: 'websocket-ts',
    name: '{ WebsocketBuilder as Made }',
    make: 'new Made(url).build()',
  },
  sockette: { from: 'sockette', name: 'Made', make: 'new Made(url, {})' },
  'iso-websocket': { from: 'iso-websocket', name: '{ WS as Made }', make: 'new Made(url)' },
  'rxjs webSocket': {
    from: 'rxjs/webSocket',
    name: '{ webSocket as Made }',
    make: 'Made(url).subscribe()',
  },
  'socket.io-client': {
    from: 'socket.io-client',
    name: '{ io as Made }',
    make: "Made(url, { transports: ['websocket'] })",
  },
}
