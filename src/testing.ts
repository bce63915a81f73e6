export * from './testing/fake-server.js'
