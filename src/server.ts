export * from './server/serve.js'
