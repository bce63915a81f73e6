export * from './json/json.js'
