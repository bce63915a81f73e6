export * from './stream/stream.js'
