export * from './reliable/socket.js'
